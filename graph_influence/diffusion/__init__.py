"""How activity spreads: independent cascade and linear threshold, simulated forward from seeds."""

from __future__ import annotations

from graph_influence.diffusion.cascades import Cascades, Estimate, Gains
from graph_influence.diffusion.models import Diffusion, IndependentCascade, LinearThreshold, Model, diffusion

__all__ = [
    "Cascades",
    "Diffusion",
    "Estimate",
    "Gains",
    "IndependentCascade",
    "LinearThreshold",
    "Model",
    "diffusion",
]
