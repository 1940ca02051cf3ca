"""The Neumann series for an inverse, scaled so that it converges or refused."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from unlearn.solvers.operator import Damping, Operator, Solve, damped, damping_problem
from unlearn.solvers.vectors import norm


class Diverges(ValueError):
    """The iteration cannot converge on this matrix."""


def lissa(
    operator: Operator,
    b: Tensor,
    *,
    damping: Damping = 0.0,
    scale: float | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> Solve:
    """Solve (A + damping) x = b for a positive definite A + damping, by the Neumann series.

    Agarwal, Bullins and Hazan, "Second-order stochastic optimization for machine learning in linear time", 2016,
    arXiv 1602.03943; for influence Koh and Liang, 2017, arXiv 1703.04730.

        x <- x + (b - (A + damping) x) / s,    x_0 = b / s

    It converges for s above half the largest eigenvalue of A + damping, in about (s / smallest eigenvalue)
    log(1 / tolerance) products; `cg` needs the square root of that. It is here because much of the literature uses
    it, usually with an s that nobody checked.

    Args:
        scale: s; by default the upper end of the largest eigenvalue that a Lanczos run proves (with probability
            .999), which makes the residual fall at every step of a positive definite matrix.
        tolerance: stop at this residual over |b|.
        max_iterations: products at most, the last for the residual of what is returned.

    Memory: three vectors [p], and those of `Operator.largest_eigenvalue`.

    **Differences from the paper:** the whole matrix at every step instead of one record's, so that the only error is
    that of the iteration, and it is known; s is never a guess.

    Raises:
        Diverges: `scale` is too small (said before the first step), or the residual rose, which for a sufficient scale
            only a negative eigenvalue makes it do; the message says which, and what to do.
        ValueError: an argument is out of range.
    """
    wrong = damping_problem(damping, "lissa")
    if scale is not None and not scale > 0.0:
        wrong.append(f"`scale` must be a positive number for `lissa` (got {scale})")
    if not tolerance > 0.0:
        wrong.append(f"`tolerance` must be a positive number for `lissa` (got {tolerance})")
    if max_iterations < 1:
        wrong.append(f"`max_iterations` must be a positive integer for `lissa` (got {max_iterations})")
    if wrong:
        raise ValueError("\n".join(wrong))
    product = damped(operator, damping)
    top = replace(operator, product=product).largest_eigenvalue()
    if scale is None:
        scale = top if top > 0.0 else 1.0
    elif scale <= 0.5 * top:
        raise Diverges(
            f"`scale` must be above {0.5 * top:.6g} for `lissa` to converge here, half the largest eigenvalue (got "
            f"{scale:.6g}); leave it out to have it chosen"
        )
    size = norm(b)
    if not size:
        return Solve(torch.zeros_like(b), 0.0, 0, converged=True, residuals=(0.0,))
    x = b / scale
    residuals = [1.0]
    lowest = math.inf
    while True:
        rest = b - product(x)
        residuals.append(norm(rest) / size)
        lowest = min(lowest, residuals[-1])
        if residuals[-1] <= tolerance:
            break
        if not residuals[-1] <= 1.5 * max(lowest, 100.0 * torch.finfo(b.dtype).eps):
            raise Diverges(
                f"`lissa` diverges: the residual rose from {lowest:.3g} to {residuals[-1]:.3g} at scale {scale:.6g} "
                f"after {len(residuals) - 1} steps, so the matrix has a negative eigenvalue; raise `damping` (got "
                f"{damping if isinstance(damping, float | int) else 'a vector'}), take Gauss-Newton products or "
                "`trust_region_step`"
            )
        if len(residuals) > max_iterations:
            break
        x = x + rest / scale
    return Solve(x, residuals[-1], len(residuals) - 1, residuals[-1] <= tolerance, residuals=tuple(residuals))
