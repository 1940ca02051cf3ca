"""Whom to start from, so that many are reached: seed selection with and without proven ratios."""

from __future__ import annotations

from graph_influence.maximize.base import InvalidRequest, Maximizer, Seeds, maximize, maximizer, maximizers
from graph_influence.maximize.hist import Hist
from graph_influence.maximize.imm import Imm
from graph_influence.maximize.opim import Opim

__all__ = ["Hist", "Imm", "InvalidRequest", "Maximizer", "Opim", "Seeds", "maximize", "maximizer", "maximizers"]
