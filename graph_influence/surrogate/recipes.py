"""How each learned surrogate is best trained, as far as generated validation graphs could tell."""

from __future__ import annotations

from graph_influence.surrogate.base import Surrogate
from graph_influence.surrogate.examples import Regime
from graph_influence.surrogate.training import TrainingOptions

_RECIPES = {
    "gcn": (
        Regime(graphs=40, sets=16, least=300, most=1_500, perturbed=0.3, runs=10_000),
        TrainingOptions(lr=1e-2, epochs=20, batch_size=4, total=0.1, drops=2.0),
    ),
    "capped": (Regime(graphs=30, perturbed=0.5), TrainingOptions(lr=5e-3, epochs=15)),
    "hybrid": (Regime(graphs=20, perturbed=0.5), TrainingOptions(lr=2e-2, epochs=8)),
}


def recipe(network: Surrogate) -> tuple[Regime, TrainingOptions]:
    """What it learns from, and how.

    Raises:
        ValueError: it has nothing to learn.
    """
    if network.name not in _RECIPES:
        raise ValueError(f"`{network.name}` has nothing to learn; those that do are {', '.join(_RECIPES)}")
    return _RECIPES[network.name]
