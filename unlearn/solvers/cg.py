"""Conjugate gradients: one iteration, used to solve equations here and to take trust-region steps elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unlearn.solvers.operator import Damping, Map, Operator, Solve, damped, damping_problem
from unlearn.solvers.vectors import dot, magnitude, norm


def cg(
    operator: Operator,
    b: Tensor,
    *,
    damping: Damping = 0.0,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
    preconditioner: Map | None = None,
    project: Map | None = None,
) -> Solve:
    """Solve (A + damping) x = b for a positive definite A + damping, by conjugate gradients.

    Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", 1952. After k iterations the
    error in the norm of A + damping is at most 2 ((sqrt c - 1) / (sqrt c + 1))^k of the first, with c the condition
    number of the preconditioned matrix.

    Where A + damping turns out to be indefinite the iteration stops and `negative_curvature` says so: its x must not
    be used as a step, which has no bound there. Take `trust_region_step` or `levenberg_marquardt_step` instead.

    Args:
        b: right-hand side [p].
        damping: at least 0; one number, or one for each coordinate [p].
        tolerance: stop at this residual over |b|.
        preconditioner: v [p] -> an approximation of (A + damping)^-1 v; linear, symmetric and positive definite.
        project: an orthogonal projection P. The equation solved is then P (A + damping) P x = P b, and x = P x.

    Memory: six vectors [p]. Sums are in float64.

    **Differences from the paper:** the projection; the true residual is computed once at the end.

    Raises:
        ValueError: an argument is out of range, or a product is not finite.
    """
    _check(damping, tolerance, max_iterations)
    if project is not None:
        b = project(b)
    scale = magnitude(b)
    b = b / scale
    product = damped(operator, damping)
    path = conjugate_gradients(
        product, b, tolerance=tolerance, max_products=max_iterations, preconditioner=preconditioner, project=project
    )
    rest = b - product(path.x)
    size = norm(b)
    residual = norm(rest if project is None else project(rest)) / size if size else 0.0
    return Solve(
        x=path.x.mul_(scale),
        residual=residual,
        iterations=path.products,
        converged=path.negative_curvature is None and residual <= tolerance,
        negative_curvature=path.negative_curvature,
        residuals=tuple(path.residuals),
    )


@dataclass(slots=True)
class Path:
    """Where conjugate gradients ended: `curved` is A x, `length` the norm of x that the radius is measured in."""

    x: Tensor
    curved: Tensor
    residuals: list[float] = field(default_factory=list[float])  # each over |b|
    products: int = 0
    length: float = 0.0
    boundary: bool = False
    negative_curvature: Tensor | None = None


def conjugate_gradients(
    product: Map,
    b: Tensor,
    *,
    tolerance: float,
    max_products: int,
    radius: float = math.inf,
    preconditioner: Map | None = None,
    project: Map | None = None,
) -> Path:
    """Minimise 1/2 x . A x - b . x in the ball of `radius`, following Steihaug's path.

    The ball is that of sqrt(x . M x) with M the inverse of the preconditioner, in which the path's length only grows
    (Conn, Gould and Toint, "Trust-region methods", 2000, section 7.5.1). At a direction of curvature 0 or less the
    path runs on to the boundary, or ends where there is none. `b` must lie in the range of `project`.

    Raises:
        ValueError: a product is not finite.
    """

    def descend(residual: Tensor) -> Tensor:
        out = residual if preconditioner is None else preconditioner(residual)
        return out if project is None or preconditioner is None else project(out)

    path = Path(torch.zeros_like(b), torch.zeros_like(b))
    residual = b.clone()
    direction = descend(residual).clone()
    square = dot(residual, direction)
    first = norm(b)
    path.residuals.append(1.0 if first else 0.0)
    # |x|^2, x . M d and |d|^2 in the norm M, by recurrence: M itself is never applied.
    length, cross, reach = 0.0, 0.0, square
    while path.products < max_products and path.residuals[-1] > tolerance and square > 0.0:
        along = product(direction)
        if project is not None:
            along = project(along)
        path.products += 1
        curvature = dot(direction, along)
        if not math.isfinite(curvature):
            raise ValueError("products must be finite for conjugate gradients (got nan or inf)")
        step = square / curvature if curvature > 0.0 else math.inf
        if curvature <= 0.0:
            path.negative_curvature = direction
        if not step < math.inf or length + step * (2.0 * cross + step * reach) >= radius**2:
            if radius < math.inf:
                step = _to_boundary(length, cross, reach, radius)
                path.x.add_(direction, alpha=step)
                path.curved.add_(along, alpha=step)
                path.boundary, length = True, radius**2
            break
        path.x.add_(direction, alpha=step)
        path.curved.add_(along, alpha=step)
        residual.add_(along, alpha=-step)
        length += step * (2.0 * cross + step * reach)
        new = descend(residual)
        before, square = square, dot(residual, new)
        ratio = square / before
        cross = ratio * (cross + step * reach)
        reach = square + ratio**2 * reach
        direction.mul_(ratio).add_(new)
        path.residuals.append(norm(residual) / first)
    path.length = math.sqrt(length)
    return path


def _to_boundary(length: float, cross: float, reach: float, radius: float) -> float:
    """The t > 0 with length + 2 t cross + t^2 reach = radius^2."""
    inside = max(radius**2 - length, 0.0)
    root = math.sqrt(cross**2 + reach * inside)
    return inside / (cross + root) if cross > 0.0 else (root - cross) / reach  # neither form cancels digits


def _check(damping: Damping, tolerance: float, max_iterations: int) -> None:
    wrong = damping_problem(damping, "cg")
    if not tolerance >= 0.0:
        wrong.append(f"`tolerance` must be at least 0 for `cg` (got {tolerance})")
    if max_iterations < 1:
        wrong.append(f"`max_iterations` must be a positive integer for `cg` (got {max_iterations})")
    if wrong:
        raise ValueError("\n".join(wrong))
