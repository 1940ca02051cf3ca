"""What to take away so that a rumour reaches few: methods by name, who judges them, and what none can beat."""

from __future__ import annotations

from graph_influence.minimize.auto import Auto
from graph_influence.minimize.base import Blocked, Minimizer, minimize, minimizer, minimizers
from graph_influence.minimize.betweenness import Betweenness
from graph_influence.minimize.bound import Optimality, optimality
from graph_influence.minimize.diffim import DiffIM, DiffIMPlus, DiffIMPlusPlus
from graph_influence.minimize.heuristics import KeyEdge, OutDegree, PageRank, Random, SeedAdjacent
from graph_influence.minimize.mds import Mds
from graph_influence.minimize.referee import Referee, Verdict
from graph_influence.minimize.relaxed import Relaxed
from graph_influence.minimize.sampled import AdvancedGreedy, GreedyReplace, ReverseSampling
from graph_influence.outbreak import Outbreak, Unit

__all__ = [
    "AdvancedGreedy",
    "Auto",
    "Betweenness",
    "Blocked",
    "DiffIM",
    "DiffIMPlus",
    "DiffIMPlusPlus",
    "GreedyReplace",
    "KeyEdge",
    "Mds",
    "Minimizer",
    "Optimality",
    "Outbreak",
    "OutDegree",
    "PageRank",
    "Random",
    "Referee",
    "Relaxed",
    "ReverseSampling",
    "SeedAdjacent",
    "Unit",
    "Verdict",
    "minimize",
    "minimizer",
    "minimizers",
    "optimality",
]
