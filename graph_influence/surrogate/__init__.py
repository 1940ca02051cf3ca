"""Differentiable estimates of the spread: surrogates, learned or not, by the name of each."""

from __future__ import annotations

from graph_influence.surrogate.base import Surrogate, register, surrogate, surrogates
from graph_influence.surrogate.capped import Capped
from graph_influence.surrogate.criticality import SupercriticalWarning, criticality, warn_if_supercritical
from graph_influence.surrogate.examples import Examples, Regime
from graph_influence.surrogate.gcn import GCN
from graph_influence.surrogate.hybrid import Hybrid
from graph_influence.surrogate.messages import MeanField, NonBacktracking
from graph_influence.surrogate.store import StoredSurrogateError, load_surrogate, save_surrogate
from graph_influence.surrogate.tensors import TensorGraph
from graph_influence.surrogate.training import Trained, TrainingOptions, train

__all__ = [
    "Capped",
    "Examples",
    "GCN",
    "Hybrid",
    "MeanField",
    "NonBacktracking",
    "Regime",
    "StoredSurrogateError",
    "SupercriticalWarning",
    "Surrogate",
    "TensorGraph",
    "Trained",
    "TrainingOptions",
    "criticality",
    "load_surrogate",
    "register",
    "save_surrogate",
    "surrogate",
    "surrogates",
    "train",
    "warn_if_supercritical",
]
