"""Trust-region Newton with conjugate gradients: the polish after L-BFGS, and safe where the objective is not convex."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from unlearn.solvers.lbfgs import Callback, Solution
from unlearn.solvers.operator import Map, Operator
from unlearn.solvers.trust_region import decrease_ratio, trust_region_step
from unlearn.solvers.vectors import norm

_ACCEPT, _POOR, _GOOD = 1e-4, 0.25, 0.75  # ratios of actual to predicted decrease


def newton_cg(
    value_and_gradient: Callable[[Tensor], tuple[float, Tensor]],
    hessian_product: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    *,
    tolerance: float = 0.0,
    max_iterations: int = 100,
    max_products: int = 200,
    radius: float = 1.0,
    projection: Callable[[Tensor], Map] | None = None,
    callback: Callback | None = None,
) -> Solution:
    """Minimise from `start` [p] until the gradient norm is at most `tolerance`.

    Steihaug, "The conjugate gradient method and trust regions in large scale optimization", 1983; Toint, "Towards an
    efficient sparsity exploiting Newton method for minimization", 1981. Each iteration takes a `trust_region_step` to
    a residual of min(1/2, sqrt|g|) |g|, so that convergence is superlinear.

    Args:
        value_and_gradient: x [p] -> f(x), its gradient [p], which may be a buffer that it reuses.
        hessian_product: (x [p], v [p]) -> H(x) v [p].
        max_products: Hessian products in one iteration at most.
        radius: of the first trust region; it adapts.
        projection: x [p] -> the orthogonal projection that the step from x is kept in. Directions along which the
            objective is flat (rotations of an embedding table) have no gradient, but away from a stationary point
            the Hessian leads into them, with curvature of either sign; see `rotation_projection`.

    `evaluations` of the result counts gradients and Hessian products together. Stops where rounding leaves no
    decrease; the point reached is returned in every case. A saddle point at the very start has no gradient and is
    returned as it is.

    **Differences from the papers:** steps are judged by `decrease_ratio`, which goes by gradients where f has no
    digits left.

    Raises:
        ValueError: `radius` or a limit is out of range, or f is not finite at the start.
    """
    _check(tolerance, max_iterations, max_products, radius)
    x = start.clone()
    value, gradient = value_and_gradient(x)
    if not math.isfinite(value):
        raise ValueError(f"the objective must be finite at the start of `newton_cg` (got {value})")
    gradient = gradient.clone()
    residual, evaluations, iteration = norm(gradient), 1, 0
    smallest = float(torch.finfo(x.dtype).eps) * max(1.0, norm(x))
    while residual > tolerance and iteration < max_iterations and radius > smallest:
        step = trust_region_step(
            Operator(partial(hessian_product, x), x.numel(), x.dtype, x.device),
            gradient,
            radius,
            tolerance=min(0.5, math.sqrt(residual)),
            max_products=max_products,
            project=None if projection is None else projection(x),
        )
        evaluations += step.products + 1
        trial = x + step.step
        new_value, new_gradient = value_and_gradient(trial)
        ratio = decrease_ratio(value, gradient, new_value, new_gradient, step)
        if ratio < _POOR:
            radius = 0.25 * min(radius, step.length)
        elif ratio > _GOOD and step.boundary:
            radius *= 2.0
        if ratio > _ACCEPT:
            x, value = trial, new_value
            gradient = new_gradient.clone()
            residual = norm(gradient)
        iteration += 1
        if callback is not None and callback(iteration, value, residual):
            break
    return Solution(x, value, residual, iteration, evaluations, converged=residual <= tolerance)


def _check(tolerance: float, max_iterations: int, max_products: int, radius: float) -> None:
    rules = (
        ("tolerance", tolerance, tolerance >= 0.0, "a number of at least 0"),
        ("max_iterations", max_iterations, max_iterations >= 0, "an integer of at least 0"),
        ("max_products", max_products, max_products >= 1, "a positive integer"),
        ("radius", radius, 0.0 < radius < math.inf, "a positive finite number"),
    )
    wrong = [f"`{name}` must be {rule} for `newton_cg` (got {got})" for name, got, ok, rule in rules if not ok]
    if wrong:
        raise ValueError("\n".join(wrong))
