"""Inner products and norms of vectors, summed in float64 whatever their own precision."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> float:
    """a . b."""
    return float(a @ b) if a.dtype == torch.float64 else float((a * b).sum(dtype=torch.float64))


def norm(a: Tensor) -> float:
    """|a|."""
    return float(torch.linalg.vector_norm(a, dtype=torch.float64))


def magnitude(a: Tensor) -> float:
    """A power of two about the largest entry of a: over it, squares stay in range and no digit changes."""
    return math.ldexp(1.0, math.frexp(float(a.abs().max()) if a.numel() else 0.0)[1] - 1)
