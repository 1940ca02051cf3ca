"""Differentiable estimates of the spread: surrogates, learned or not, by the name of each."""

from __future__ import annotations

from graph_influence.surrogate.base import Surrogate, register, surrogate, surrogates
from graph_influence.surrogate.capped import Capped
from graph_influence.surrogate.criticality import SupercriticalWarning, criticality, warn_if_supercritical
from graph_influence.surrogate.gcn import GCN
from graph_influence.surrogate.hybrid import Hybrid
from graph_influence.surrogate.messages import MeanField, NonBacktracking
from graph_influence.surrogate.tensors import TensorGraph

__all__ = [
    "Capped",
    "GCN",
    "Hybrid",
    "MeanField",
    "NonBacktracking",
    "SupercriticalWarning",
    "Surrogate",
    "TensorGraph",
    "criticality",
    "register",
    "surrogate",
    "surrogates",
    "warn_if_supercritical",
]
