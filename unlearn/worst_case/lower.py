"""The lower level of the search: a model that has forgotten as far as the weights say, and what follows for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unlearn.curvature import gauge_projection, hessian_operator
from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.lbfgs import lbfgs
from unlearn.solvers.trust_region import levenberg_marquardt_step
from unlearn.worst_case.asking import training_weights
from unlearn.worst_case.budget import Room
from unlearn.worst_case.projection import rounded
from unlearn.worst_case.upper import Judge

_ACCURACY = 0.01  # of L-BFGS: the part of the way that is left
_DAMPING = 1e-3  # of the curvature along the slope
_TOLERANCE = 0.03  # residual of the solve


@dataclass(frozen=True, slots=True, eq=False)
class Unlearned:
    """Parameters theta_u(w), the weights that they stand for, and the lower objective there (None: there is none)."""

    params: Params
    weights: Tensor  # float64 [k]: those that were asked for, or 0 and 1
    objective: float | None


class Lower(Protocol):
    """How the model follows the weights."""

    def unlearn(self, problem: Problem, room: Room, weights: Tensor) -> Unlearned:
        """theta_u(w) for weights float64 [k]."""
        ...

    def pulled(self, problem: Problem, room: Room, at: Unlearned, slope: Tensor) -> Tensor | None:
        """(d theta_u / d w)^T slope [k] for a slope [p] in the parameters; None where theta_u does not follow w."""
        ...


class SignSteps:
    """Steps of the sign of the gradient, from the original model: d theta_u / d w = 0 almost everywhere.

    theta_j = theta_{j-1} - beta sign(grad of the training objective with the units weighted 1 - w).
    """

    def __init__(self, steps: int, lr: float) -> None:
        self.steps, self.lr = steps, lr

    def unlearn(self, problem: Problem, room: Room, weights: Tensor) -> Unlearned:
        faded = _faded(problem, room, weights)
        params = problem.params
        for _ in range(self.steps):
            _, gradient = faded.value_and_gradient(params)
            params = {name: value - self.lr * gradient[name].sign() for name, value in params.items()}
        return Unlearned(params, weights, _value(faded, params))

    def pulled(self, problem: Problem, room: Room, at: Unlearned, slope: Tensor) -> None:
        return None


class Reconverged:
    """The minimiser of the training objective with the units weighted 1 - w, from where the round before ended.

    It follows the weights by the implicit function theorem, with H the Hessian of that objective F:

        (d theta_u / d w)^T s = - (d^2 F / d w d theta) H^-1 s

    H^-1 s by conjugate gradients with as much damping as negative curvature asks for, and out of directions that only
    turn embeddings; then one derivative of s' grad F in the weights, which reaches the message edges as the loss.

    Args:
        iterations: of L-BFGS a round; it stops earlier with 1 % of the way left.
        products: with the Hessian, a round.
    """

    def __init__(self, iterations: int, products: int, *, degrees: bool) -> None:
        self.iterations, self.products, self.degrees = iterations, products, degrees
        self._last: Params | None = None

    def unlearn(self, problem: Problem, room: Room, weights: Tensor) -> Unlearned:
        start = self._last or problem.params
        faded = _faded(problem, room, weights)
        landscape = faded.with_params(start).landscape()
        solution = lbfgs(landscape, flatten(start), accuracy=_ACCURACY, max_iterations=self.iterations)
        self._last = unflatten(solution.x, start)
        return Unlearned(self._last, weights, _value(faded, self._last))

    def pulled(self, problem: Problem, room: Room, at: Unlearned, slope: Tensor) -> Tensor:
        faded = _faded(problem, room, at.weights).with_params(at.params)
        operator = hessian_operator(faded)
        solved = levenberg_marquardt_step(
            operator,
            -slope,
            _DAMPING * float(operator(slope).norm() / slope.norm().clamp_min(torch.finfo(slope.dtype).tiny)),
            tolerance=_TOLERANCE,
            max_products=self.products,
            project=gauge_projection(faded),
        ).step
        leaf = at.weights.clone().requires_grad_()
        weighted = problem.weighted(room.unit, training_weights(room, leaf, at.params), degrees=self.degrees)
        params = {name: value.detach().requires_grad_() for name, value in at.params.items()}
        gradient = torch.autograd.grad(weighted.objective(params), list(params.values()), create_graph=True)
        along = unflatten(solved, at.params)
        product = torch.stack([(g * along[name]).sum() for name, g in zip(params, gradient, strict=True)]).sum()
        return -torch.autograd.grad(product, leaf, allow_unused=True, materialize_grads=True)[0]


class ByMethod:
    """Any method of unlearning, on the set that the weights round to."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def unlearn(self, problem: Problem, room: Room, weights: Tensor) -> Unlearned:
        rows = rounded(room.costs * weights, room.costs, room.total)
        after = self.judge.unlearned(rows)
        return Unlearned(after.params, torch.zeros_like(weights).index_fill(0, rows, 1.0), None)

    def pulled(self, problem: Problem, room: Room, at: Unlearned, slope: Tensor) -> None:
        return None


def _faded(problem: Problem, room: Room, weights: Tensor) -> Problem:
    return problem.weighted(room.unit, training_weights(room, weights.detach(), problem.params))


def _value(problem: Problem, params: Params) -> float:
    return problem.value_and_gradient(params)[0]
