"""Newton's method on the remaining objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unlearn.curvature import gauge_projection
from unlearn.forget import ForgetSet
from unlearn.invalid import Rules
from unlearn.methods.base import register
from unlearn.methods.second_order import SecondOrder, removed_gradient, staying
from unlearn.params import flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.newton_cg import newton_cg
from unlearn.solvers.operator import Map, Operator
from unlearn.solvers.trust_region import levenberg_marquardt_step
from unlearn.solvers.vectors import dot, norm

_LEAST = 0.01  # the least identity in D


@register
@dataclass(frozen=True, kw_only=True)
class Newton(SecondOrder):
    """A few steps of Newton's method inside a trust region, from where the model stands.

        minimise L_R(x)                                                               where training converges
        minimise L_R(x) - dL(x_0) . (x - x_0) + 1/2 (x - x_0) . D (x - x_0)           where it samples

    Bae et al., "If influence functions are the answer, then what is the question?", 2022, arXiv 2209.05364: the second
    is their proximal Bregman form, whose solution is x_0 when nothing is forgotten, however early training stopped. The
    steps are those of Steihaug, "The conjugate gradient method and trust regions in large scale optimization", 1983. D
    is `adam_damping` where training kept what that needs, and so much of the identity that no negative curvature is
    left at x_0: an early-stopped factorisation is full of it, and without a minimum at x_0 there is nothing to stay
    near.

    Without D, steps are kept from only turning embeddings. A step that does not lower the objective is refused, and the
    region begins as wide as the model's own norm: least squares take one step at `tolerance` 0 where their solution
    lies within it, and more where it does not.

    Memory: about a dozen vectors of the parameters' size and the graph of the objective's gradient.

    Args:
        steps: at most, refused ones included.
        tolerance: relative residual of the first step's equation; of later ones less, with the root of the gradient.
        max_products: with the curvature, in one step.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the papers:** projection; rows that only the forgotten data determined are cleared first; D in
    place of a multiple of the identity; Bae et al. take the Bregman divergence of the predictions, of which L_R less
    its linear part at the start is the whole objective's.
    """

    steps: int = 3
    tolerance: float = 0.1

    name = "newton"

    def _rules(self) -> Rules:
        return super()._rules() | {
            "steps": ("a positive integer", self.steps >= 1),
            "tolerance": ("at least 0 and below 1", 0 <= self.tolerance < 1),
        }

    def step(self, problem: Problem, remaining: Problem, forget: ForgetSet, prior: Tensor | None) -> Tensor:
        like = remaining.settled(forget)
        start = flatten(like)
        pull = torch.zeros_like(start)
        if problem.stochastic:
            pull = flatten(problem.value_and_gradient(problem.params)[1]) * staying(remaining, forget)
            prior = self._convex(problem, removed_gradient(problem, remaining, forget), prior)

        def value_and_gradient(x: Tensor) -> tuple[float, Tensor]:
            value, gradients = remaining.value_and_gradient(unflatten(x, like))
            moved, gradient = x - start, flatten(gradients) - pull
            if prior is not None:
                gradient = gradient + prior * moved
            curved = 0.0 if prior is None else 0.5 * dot(prior * moved, moved)
            return value - dot(pull, moved) + curved, gradient

        # `newton_cg` solves to a residual of sqrt|g|; in units where that is `tolerance` at the start it asks for what
        # is meant here whatever the number of records.
        first = norm(value_and_gradient(start)[1])
        if not first:
            return start - flatten(problem.params)
        unit = max(self.tolerance, torch.finfo(start.dtype).eps) ** 2 / first

        def scaled(x: Tensor) -> tuple[float, Tensor]:
            value, gradient = value_and_gradient(x)
            return unit * value, unit * gradient

        products = _AtOnePoint(lambda x: self.operator(remaining, unflatten(x, like), prior))
        found = newton_cg(
            scaled,
            lambda x, vector: unit * products(x, vector),
            start,
            max_iterations=self.steps,
            max_products=self.max_products,
            radius=norm(start) or 1.0,
            projection=None if prior is not None else _gauge(remaining, start),  # D is not blind to a turn
        )
        return found.x - flatten(problem.params)

    def _convex(self, problem: Problem, b: Tensor, prior: Tensor | None) -> Tensor:
        """`prior` and so much of the identity that the model is a minimum, as far as can be seen from b."""
        operator = replace(self, curvature="hessian").operator(problem, problem.params, prior)
        met = levenberg_marquardt_step(operator, -b, _LEAST, max_products=self.max_products).damping
        return (torch.zeros_like(b) if prior is None else prior) + met


class _AtOnePoint:
    """Products with the curvature at x, whose operator is made anew only when x is another."""

    def __init__(self, make: Callable[[Tensor], Operator]) -> None:
        self._make = make
        self._at: Tensor | None = None

    def __call__(self, x: Tensor, vector: Tensor) -> Tensor:
        if self._at is not x:
            self._operator = self._make(x)
            self._at = x
        return self._operator(vector)


def _gauge(problem: Problem, start: Tensor) -> Callable[[Tensor], Map] | None:
    def at(x: Tensor) -> Map | None:
        return gauge_projection(problem, unflatten(x, problem.params))

    return None if at(start) is None else lambda x: at(x) or (lambda vector: vector)
