"""Anderson acceleration of a fixed-point iteration."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

_RIDGE = 1e-10  # of the scaled normal equations, in float64


def fixed_point(
    step: Callable[[Tensor], Tensor], start: Tensor, *, max_steps: int, tolerance: float, memory: int, plain: int
) -> Tensor:
    """x with x = step(x), from `start` (any shape).

    Anderson, "Iterative procedures for nonlinear integral equations", J. ACM 12(4), 1965, in the form of Walker and
    Ni, "Anderson acceleration for fixed-point iterations", SIAM J. Numer. Anal. 49(4), 2011. With g the last images
    and r = g - x their residuals, the next point is g_k - dG gamma, gamma = argmin |r_k - dR gamma|, the columns of dG
    and dR being the last `memory` differences. Where a residual is longer than the one before, they begin anew: kept,
    they may lead in circles (ALS at a low penalty: a fifth of 60 small random problems did not settle in 400 sweeps).

    Args:
        tolerance: ends when |step(x) - x| <= tolerance |step(x)|.
        plain: that many steps come first as they are: far from the solution the differences say little about it.

    Memory: 2 (`memory` + 1) points.
    """
    images: list[Tensor] = []
    residuals: list[Tensor] = []
    point = start
    for number in range(max_steps):
        image = step(point)
        residual = image - point
        if float(residual.norm()) <= tolerance * float(image.norm()):
            return image
        point = image
        if number < plain:
            continue
        if residuals and float(residual.norm()) > float(residuals[-1].norm()):
            images, residuals = [], []
        images, residuals = [*images, image][-memory - 1 :], [*residuals, residual][-memory - 1 :]
        if len(images) > 1:
            differences = torch.stack([(b - a).flatten() for a, b in pairwise(residuals)])
            point = image - _combined(differences, residual, images)
    return point


def _combined(differences: Tensor, residual: Tensor, images: list[Tensor]) -> Tensor:
    """dG gamma, by normal equations in float64 with rows scaled to unit length."""
    normal = (differences @ differences.T).double()
    scale = normal.diagonal().sqrt().clamp_min(torch.finfo(torch.float64).tiny)
    normal = normal / scale / scale[:, None] + _RIDGE * torch.eye(len(scale), dtype=torch.float64, device=scale.device)
    gamma = torch.linalg.solve(normal, (differences @ residual.flatten()).double() / scale) / scale
    combined = torch.zeros_like(residual)
    for weight, (a, b) in zip(gamma.tolist(), pairwise(images), strict=True):
        combined.add_(b - a, alpha=weight)
    return combined
