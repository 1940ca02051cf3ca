"""Limited-memory BFGS on a landscape.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989. Memory is two
preallocated [m, p] blocks, so an iteration allocates nothing of the size of the problem.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan

import torch
from torch import Tensor

from unlearn.solvers.landscape import Landscape, rounding
from unlearn.solvers.vectors import norm

_PATIENCE = 50  # iterations without a new minimum of residual or value, after which rounding leaves nothing to gain


@dataclass(frozen=True, slots=True)
class Solution:
    """Where a solver stopped; `residual` is the gradient norm there, NaN where it was not asked for any more."""

    x: Tensor
    value: float
    residual: float
    iterations: int
    evaluations: int
    converged: bool


Callback = Callable[[int, float, float], bool | None]
"""Called as (iteration, value, residual) after every iteration; returning True stops."""


def lbfgs(
    landscape: Landscape,
    start: Tensor,
    *,
    tolerance: float = 0.0,
    accuracy: float = 0.0,
    max_iterations: int = 1000,
    memory: int = 20,
    callback: Callback | None = None,
) -> Solution:
    """Minimise from `start` [p] until the gradient norm is at most `tolerance`, or what is left of the way `accuracy`.

    What is left is sqrt((F - F*) / W), with W the way made so far by the landscape's own measure, where it has none the
    gain F_0 - F. F* is estimated from the last two steps as if gains fell geometrically, and what is left to gain never
    below the last gain. On quadratics with eigenvalues in geometric progression the estimate is within a factor of 2
    down to .1 at any conditioning, and too hopeful beyond (by 19 at 1e-4 and condition 1e5). It cannot see a direction
    far flatter than all others before steps follow it: where that holds most of the way, and the others end first,
    nearly all may be left (measured: .95 where .1 was asked for, at a hundredth of a per cent of the others'
    curvature). Gradients say less: near a minimum that is flat in some directions they fall late.

    Stops earlier when rounding leaves nothing to gain (the line search finds nothing lower, or for 50 iterations
    neither the residual had a new minimum nor the value one that is no rounding), and when the callback says so; the
    point reached is returned in every case.
    """
    value = landscape.start(start)
    gradient = landscape.gradient().clone()
    residual = norm(gradient)
    first, gained = value, 0.0
    best, lowest, best_at = residual, value, 0
    slots = min(memory, max(max_iterations, 1))
    steps, yields = (gradient.new_empty(slots, gradient.numel()) for _ in range(2))
    curvature = [0.0] * slots  # 1 / (s . y) of each slot
    order: list[int] = []
    iteration, free, near = 0, 0, False
    while residual > tolerance and iteration < max_iterations:
        direction = _two_loop(landscape, gradient, steps, yields, curvature, order, residual).neg_()
        slope = float(gradient @ direction)
        if not slope < 0:  # the memory has lost positive definiteness to rounding: forget it, or give up
            if not order:
                break
            order.clear()
            continue
        step = landscape.search(direction, slope)
        if step.length == 0.0:
            if not order:
                break
            order.clear()
            continue
        before, gained = gained, value - step.value
        value = step.value
        left = _left(gained, before)
        if near := left < inf and left <= accuracy**2 * landscape.way(first - value):
            iteration, residual = iteration + 1, nan
            break
        new = landscape.gradient()
        slot = free % slots
        torch.mul(direction, step.length, out=steps[slot])
        torch.sub(new, gradient, out=yields[slot])
        product = float(steps[slot] @ yields[slot])
        if slot in order:
            order.remove(slot)
        # The square may underflow, on the way to a gradient of zero: such a pair says nothing any more.
        if product > 1e-10 * float(yields[slot] @ yields[slot]) * abs(step.length) > 0.0:
            curvature[slot] = 1.0 / product
            order.append(slot)
            free += 1
        gradient.copy_(new)
        residual = norm(gradient)
        iteration += 1
        # Along a curved valley the value falls while the residual rises and falls.
        if residual < best or value < lowest - rounding(start, lowest):
            best, lowest, best_at = min(best, residual), min(lowest, value), iteration
        elif iteration - best_at >= _PATIENCE:
            break
        if callback is not None and callback(iteration, value, residual):
            break
    converged = near or residual <= tolerance
    return Solution(landscape.point.clone(), value, residual, iteration, landscape.evaluations, converged)


def _left(gained: float, before: float) -> float:
    """What is left to gain after a step that gained `gained` and one before it that gained `before`."""
    if not 0 < gained < before:  # the first step, or one that rounding or a poor direction made
        return inf
    share = gained / before
    return gained * max(1.0, share / (1.0 - share))


def _two_loop(
    landscape: Landscape,
    gradient: Tensor,
    steps: Tensor,
    yields: Tensor,
    curvature: list[float],
    order: list[int],
    residual: float,
) -> Tensor:
    """The L-BFGS inverse Hessian times the gradient."""
    q = gradient.clone()
    weights: dict[int, float] = {}
    for slot in reversed(order):
        weights[slot] = curvature[slot] * float(steps[slot] @ q)
        q.add_(yields[slot], alpha=-weights[slot])
    if landscape.preconditioned:
        q = landscape.precondition(q)
    elif order:
        last = order[-1]
        q.mul_(1.0 / (curvature[last] * float(yields[last] @ yields[last])))
    else:
        q.mul_(1.0 / max(residual, 1.0))
    for slot in order:
        correction = curvature[slot] * float(yields[slot] @ q)
        q.add_(steps[slot], alpha=weights[slot] - correction)
    return q
