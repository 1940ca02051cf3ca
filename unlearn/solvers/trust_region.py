"""One step of Newton's method that stays safe where the objective is not convex: two ways to bound it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.solvers.cg import conjugate_gradients
from unlearn.solvers.operator import Map, Operator, damped
from unlearn.solvers.vectors import dot, magnitude


@dataclass(frozen=True, slots=True, eq=False)
class ModelStep:
    """A step s [p] that lowers the quadratic model m(s) = g . s + 1/2 s . H s.

    `decrease` is m(0) - m(s) > 0, without the damping; `length` is the norm of s (of the preconditioner where there is
    one). `negative_curvature` says that a direction of curvature 0 or less was met: followed to the boundary by a trust
    region, damped away by Levenberg-Marquardt.
    """

    step: Tensor
    length: float
    decrease: float
    products: int
    negative_curvature: bool
    boundary: bool = False
    damping: float = 0.0


def trust_region_step(
    operator: Operator,
    gradient: Tensor,
    radius: float,
    *,
    tolerance: float = 0.01,
    max_products: int = 200,
    preconditioner: Map | None = None,
    project: Map | None = None,
) -> ModelStep:
    """Minimise m(s) over |s| <= radius approximately, along the path of conjugate gradients.

    Steihaug, "The conjugate gradient method and trust regions in large scale optimization", 1983; Toint, "Towards an
    efficient sparsity exploiting Newton method for minimization", 1981. The step leaves at the boundary along a
    direction of negative curvature or where the path crosses it, and lowers m at least as much as the best multiple
    of the preconditioned gradient does.

    Args:
        gradient: g [p] at the current point; zero gives a zero step.
        tolerance: stop at this residual of H s = -g over |g|.
        preconditioner: approximate inverse of H; |s| is then the norm that its inverse defines.
        project: an orthogonal projection that the step is kept in (see `rotation_projection`).

    Raises:
        ValueError: `radius` is not positive, or a product is not finite.
    """
    if not radius > 0.0:
        raise ValueError(f"`radius` must be a positive number for `trust_region_step` (got {radius})")
    right = -gradient if project is None else -project(gradient)
    path = conjugate_gradients(
        operator.product,
        right,
        tolerance=tolerance,
        max_products=max_products,
        radius=radius,
        preconditioner=preconditioner,
        project=project,
    )
    return ModelStep(
        step=path.x,
        length=path.length,
        decrease=dot(right, path.x) - 0.5 * dot(path.x, path.curved),
        products=path.products,
        negative_curvature=path.negative_curvature is not None,
        boundary=path.boundary,
    )


def levenberg_marquardt_step(
    operator: Operator,
    gradient: Tensor,
    damping: float,
    *,
    tolerance: float = 0.01,
    max_products: int = 200,
    project: Map | None = None,
) -> ModelStep:
    """Solve (H + mu I) s = -g with the least mu in `damping`, 4 `damping`, ... that shows no negative curvature.

    Levenberg, "A method for the solution of certain non-linear problems in least squares", 1944; Marquardt, 1963.
    The result's `damping` is the mu that was used: start the next step from a quarter of it where `decrease_ratio` is
    above 3/4, from four times it where the step was refused.

    **Differences from the papers:** mu grows on negative curvature, of which a Gauss-Newton matrix has none, and at
    once to twice what the direction found asks for.

    Raises:
        ValueError: `damping` is not positive, or a product is not finite.
    """
    if not 0.0 < damping < math.inf:
        raise ValueError(f"`damping` must be a positive number for `levenberg_marquardt_step` (got {damping})")
    scale = magnitude(gradient)
    right = gradient / -scale if project is None else project(gradient) / -scale
    products, met = 0, False
    while True:
        path = conjugate_gradients(
            damped(operator, damping), right, tolerance=tolerance, max_products=max_products, project=project
        )
        products += path.products
        if path.negative_curvature is None:
            break
        met = True
        direction = path.negative_curvature
        below = -dot(direction, operator(direction)) / dot(direction, direction)  # mu must exceed this
        products += 1
        damping = max(4.0 * damping, 2.0 * below)
    curved = path.curved - damping * path.x
    decrease = scale * scale * (dot(right, path.x) - 0.5 * dot(path.x, curved))
    length = scale * path.length
    return ModelStep(path.x.mul_(scale), length, decrease, products, negative_curvature=met, damping=damping)


def decrease_ratio(value: float, gradient: Tensor, new_value: float, new_gradient: Tensor, step: ModelStep) -> float:
    """Actual over predicted decrease of the objective: near 1 where the model is good, -inf where nothing is finite.

    Where the prediction is below the square root of the unit round-off times |f|, f has too few digits left to tell,
    and the actual decrease is -1/2 (g + g_new) . s, which is exact for a quadratic.
    """
    by_gradients = -0.5 * dot(gradient + new_gradient, step.step)
    if not math.isfinite(new_value) or not math.isfinite(by_gradients) or step.decrease <= 0.0:
        return -math.inf
    visible = math.sqrt(float(torch.finfo(gradient.dtype).eps)) * abs(value)
    return (value - new_value if step.decrease > visible else by_gradients) / step.decrease
