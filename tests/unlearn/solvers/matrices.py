"""Matrices of a known spectrum."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def symmetric(values: Tensor | NDArray[np.float64], seed: int = 0) -> Tensor:
    """A symmetric matrix with these eigenvalues [n] and random eigenvectors."""
    values = torch.as_tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64, generator=generator)).Q
    matrix = (basis * values) @ basis.T
    return 0.5 * (matrix + matrix.T)


def spectrum(n: int, condition: float) -> Tensor:
    """Eigenvalues from 1 down to 1 / condition, in geometric progression."""
    return torch.logspace(0.0, -torch.tensor(condition).log10().item(), n, dtype=torch.float64)


def right_side(n: int, *, seed: int = 1) -> Tensor:
    return torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
