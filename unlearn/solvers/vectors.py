"""Inner products and norms of vectors, summed in float64 whatever their own precision."""

from __future__ import annotations

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> float:
    """a . b."""
    return float(a @ b) if a.dtype == torch.float64 else float((a * b).sum(dtype=torch.float64))


def norm(a: Tensor) -> float:
    """|a|."""
    return float(torch.linalg.vector_norm(a, dtype=torch.float64))
