"""Trust-region Newton with conjugate gradients: the polish after L-BFGS, and safe where the objective is not convex."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from unlearn.solvers.lbfgs import Callback, Solution

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
    callback: Callback | None = None,
) -> Solution:
    """Minimise from `start` [p] until the gradient norm is at most `tolerance`.

    Steihaug, "The conjugate gradient method and trust regions in large scale optimization", 1983; Toint, "Towards an
    efficient sparsity exploiting Newton method for minimization", 1981. Each iteration minimises the quadratic model

        m(s) = g . s + 1/2 s . H s    over |s| <= radius

    by CG, to a residual of min(1/2, sqrt|g|) |g| (so that convergence is superlinear), leaving along a direction of
    negative curvature, or where the path crosses the radius, at the boundary. Directions along which the objective is
    flat (rotations of an embedding table) have no gradient and so never enter the step.

    Args:
        value_and_gradient: x [p] -> f(x), its gradient [p].
        hessian_product: (x [p], v [p]) -> H(x) v [p].
        max_products: Hessian products in one iteration at most.
        radius: of the first trust region; it adapts.

    `evaluations` of the result counts gradients and Hessian products together. Stops where rounding leaves no
    decrease; the point reached is returned in every case. A saddle point at the very start has no gradient and is
    returned as it is.

    **Differences from the papers:** where the predicted decrease is below the square root of the unit round-off times
    |f|, the actual one is -1/2 (g + g_new) . s: f no longer has the digits to judge a step, its gradients still do.

    Raises:
        ValueError: `radius` or a limit is out of range, or f is not finite at the start.
    """
    _check(tolerance, max_iterations, max_products, radius)
    x = start.clone()
    value, gradient = value_and_gradient(x)
    if not math.isfinite(value):
        raise ValueError(f"the objective must be finite at the start of `newton_cg` (got {value})")
    gradient = gradient.clone()
    residual, evaluations, iteration = float(gradient.norm()), 1, 0
    smallest = float(torch.finfo(x.dtype).eps) * max(1.0, float(x.norm()))
    while residual > tolerance and iteration < max_iterations and radius > smallest:
        step = _steihaug(partial(hessian_product, x), gradient, radius, max_products)
        evaluations += step.products + 1
        trial = x + step.step
        new_value, new_gradient = value_and_gradient(trial)
        by_gradients = -0.5 * float((gradient + new_gradient) @ step.step)  # exact for a quadratic
        ratio = _ratio(value, new_value, step.decrease, by_gradients, x.dtype)
        if ratio < _POOR:
            radius = 0.25 * min(radius, step.length)
        elif ratio > _GOOD and step.boundary:
            radius *= 2.0
        if ratio > _ACCEPT:
            x, value = trial, new_value
            gradient = new_gradient.clone()
            residual = float(gradient.norm())
        iteration += 1
        if callback is not None and callback(iteration, value, residual):
            break
    return Solution(x, value, residual, iteration, evaluations, converged=residual <= tolerance)


@dataclass(frozen=True, slots=True)
class _Step:
    step: Tensor
    length: float
    decrease: float  # m(0) - m(step) > 0
    products: int
    boundary: bool


def _steihaug(product: Callable[[Tensor], Tensor], gradient: Tensor, radius: float, max_products: int) -> _Step:
    """The truncated CG step for m(s) = g . s + 1/2 s . H s in the ball of `radius`."""
    step, curved = torch.zeros_like(gradient), torch.zeros_like(gradient)  # s and H s
    remainder, direction = gradient.clone(), -gradient
    square = first = float(remainder @ remainder)
    goal = first * min(0.25, math.sqrt(first))  # (min(1/2, sqrt|g|) |g|)^2
    products, boundary = 0, False
    while products < max_products and square > goal:
        along = product(direction)
        products += 1
        curvature = float(direction @ along)
        length = square / curvature if curvature > 0.0 else math.inf
        # Written so that a direction without curvature (length = inf) takes this branch as well.
        if not length < math.inf or float((step + length * direction).norm()) >= radius:
            length = _to_boundary(step, direction, radius)
            step.add_(direction, alpha=length)
            curved.add_(along, alpha=length)
            boundary = True
            break
        step.add_(direction, alpha=length)
        curved.add_(along, alpha=length)
        remainder.add_(along, alpha=length)
        new = float(remainder @ remainder)
        direction.mul_(new / square).sub_(remainder)
        square = new
    decrease = -float(gradient @ step) - 0.5 * float(step @ curved)
    return _Step(step, float(step.norm()), decrease, products, boundary)


def _to_boundary(step: Tensor, direction: Tensor, radius: float) -> float:
    """The t > 0 with |step + t direction| = radius."""
    square, cross = float(direction @ direction), float(step @ direction)
    inside = max(radius**2 - float(step @ step), 0.0)
    # The form without cancellation for either sign of `cross`.
    root = math.sqrt(cross**2 + square * inside)
    return inside / (cross + root) if cross > 0.0 else (root - cross) / square


def _ratio(value: float, new: float, predicted: float, by_gradients: float, dtype: torch.dtype) -> float:
    """Actual over predicted decrease; by the gradients at both ends where f has too few digits left to tell."""
    if not math.isfinite(new) or not math.isfinite(by_gradients) or predicted <= 0.0:
        return -math.inf
    visible = math.sqrt(float(torch.finfo(dtype).eps)) * abs(value)
    return (value - new if predicted > visible else by_gradients) / predicted


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
