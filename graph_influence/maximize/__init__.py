"""Whom to start from, so that many are reached: seed selection with and without proven ratios."""

from __future__ import annotations

from graph_influence.errors import InvalidRequest
from graph_influence.maximize.base import Maximizer, Seeds, maximize, maximizer, maximizers
from graph_influence.maximize.celf import Celf, CelfPlusPlus
from graph_influence.maximize.heuristics import Degree, DegreeDiscount, KShell, PageRank
from graph_influence.maximize.hist import Hist
from graph_influence.maximize.imm import Imm
from graph_influence.maximize.opim import Opim
from graph_influence.maximize.standing import StandingSeeds, Upkeep

__all__ = [
    "Celf",
    "CelfPlusPlus",
    "Degree",
    "DegreeDiscount",
    "Hist",
    "Imm",
    "InvalidRequest",
    "KShell",
    "Maximizer",
    "Opim",
    "PageRank",
    "Seeds",
    "StandingSeeds",
    "Upkeep",
    "maximize",
    "maximizer",
    "maximizers",
]
