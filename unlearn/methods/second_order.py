"""What methods that go by curvature share: the equation they solve and how it is kept safe."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from unlearn.attached import AttachedProblem
from unlearn.curvature import Linearizable, adam_damping, gauss_newton_operator, hessian_operator
from unlearn.curvature.operators import like
from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.invalid import Rules, require
from unlearn.methods.base import State, Unlearner
from unlearn.methods.gradient import settled
from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.lissa import lissa
from unlearn.solvers.operator import Map, Operator, damped
from unlearn.solvers.trust_region import levenberg_marquardt_step

Curvature = Literal["hessian", "gauss_newton"]


class InfluenceStep(Unlearner):
    """A method that adds one vector to the parameters, made of a gradient and of what stands for curvature.

    Where training sampled and kept Adam's second moments (`TrainingOptions.keep`), `adam_damping` is added to the
    curvature: the model is then no minimum of anything, and moves only as far as training had time to move it.
    `prepare` computes that vector and passes it on from request to request.

    Sampled objectives have the negatives of one epoch, keyed by record: the same in gradients and curvature, with and
    without the forgotten.
    """

    def __post_init__(self) -> None:
        require(self, **self._rules())

    @abstractmethod
    def _rules(self) -> Rules:
        """What hyper-parameters must be, as far as their kinds do not say so."""

    @abstractmethod
    def step(self, problem: Any, remaining: Any, forget: ForgetSet, prior: Tensor | None) -> Tensor:
        """What to add to the old parameters [p]; `prior` [p] belongs on the diagonal of the curvature."""

    def prepare(self, problem: Problem) -> State | None:
        self._check(problem)
        started = time.perf_counter()
        if not problem.stochastic or not problem.history.optimizer:
            return None
        return State.of(adam_damping(problem), seconds=elapsed(started))

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        state = state or self.prepare(problem)
        prior: Tensor | None = state.payload if state else None
        moved = flatten(problem.params).add_(self.step(problem, remaining, forget, prior))
        after = settled(remaining, unflatten(moved, problem.params), forget)
        if state is None or prior is None:
            return after, state
        return after, replace(state, payload=prior * staying(remaining, forget))


@dataclass(frozen=True, kw_only=True)
class SecondOrder(InfluenceStep):
    """One that goes by products with a curvature."""

    curvature: Curvature = "hessian"
    max_products: int = 100

    def _rules(self) -> Rules:
        return {"max_products": ("a positive integer", self.max_products >= 1)}

    def _obstacle(self, problem: Any) -> str | None:
        if self.curvature == "gauss_newton" and not isinstance(problem, Linearizable | AttachedProblem):
            return (
                f"`{self.name}` with curvature=gauss_newton must be told what the predictions are (got "
                f"{type(problem).__name__} without `linearized`); take curvature=hessian"
            )
        return None

    def operator(self, problem: Problem, params: Params, prior: Tensor | None) -> Operator:
        """The curvature of the problem's objective at `params`, with `prior` on its diagonal."""
        make = hessian_operator if self.curvature == "hessian" else gauss_newton_operator
        bare = make(problem, params)
        return bare if prior is None else like(prior, damped(bare, prior))


@dataclass(frozen=True, kw_only=True)
class OneShot(SecondOrder):
    """One damped linear equation (H + damping) step = b and no look at where it leads.

    With the solver "cg" `damping` is the least: on negative curvature it is raised until there is none
    (`levenberg_marquardt_step`). "lissa" is the series that most of the literature solves it by; it raises `Diverges`
    where the curvature is not positive.
    """

    damping: float = 0.01
    solver: Literal["cg", "lissa"] = "cg"
    tolerance: float = 1e-3

    def _rules(self) -> Rules:
        return super()._rules() | {
            "damping": ("positive", self.damping > 0),
            "tolerance": ("positive and below 1", 0 < self.tolerance < 1),
        }

    def solve(self, operator: Operator, b: Tensor, project: Map | None = None) -> tuple[Tensor, float]:
        """(H + mu) x = b in the range of the projection: x and mu."""
        if self.solver == "cg":
            found = levenberg_marquardt_step(
                operator, -b, self.damping, tolerance=self.tolerance, max_products=self.max_products, project=project
            )
            return found.step, found.damping
        if project is not None:
            operator, b = like(b, _between(operator, project)), project(b)
        found = lissa(operator, b, damping=self.damping, tolerance=self.tolerance, max_iterations=self.max_products)
        return found.x, self.damping


def _between(operator: Operator, project: Map) -> Callable[[Tensor], Tensor]:
    return lambda vector: project(operator(project(vector)))


def staying(remaining: Problem, forget: ForgetSet) -> Tensor:
    """A 0/1 vector [p]: 0 in the rows that only the forgotten data determined, which `settled` clears."""
    ones = {name: torch.ones_like(value) for name, value in remaining.params.items()}
    return flatten(remaining.with_params(ones).settled(forget))


def removed_gradient(problem: Problem, remaining: Problem, forget: ForgetSet) -> Tensor:
    """The gradient [p] of everything that leaves the objective with the forgotten data, at the old parameters.

    The forgotten records' losses, and of all that stays the difference that the graph makes to it; 0 in rows that are
    cleared, which are no unknowns any more. The difference of two whole gradients: where the graph ends to change
    anything, it is 0 by itself, and no neighbourhood has to be chosen.
    """
    before = flatten(problem.value_and_gradient(problem.params)[1])
    after = flatten(remaining.value_and_gradient(remaining.settled(forget))[1])
    return before.sub_(after).mul_(staying(remaining, forget))
