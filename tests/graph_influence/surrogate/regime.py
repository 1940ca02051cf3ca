"""What small networks are taught by."""

from __future__ import annotations

from graph_influence.surrogate import Regime

REGIME = Regime(graphs=10, sets=8, least=60, most=120, seed_share=0.05, perturbed=0.5, runs=2_000)
