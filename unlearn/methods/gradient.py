"""What methods that go by gradients share: steps, checks, the forgotten records as the remaining model sees them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner
from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.adam import Adam

Update = Literal["sign", "sgd", "adam"]
Direction = Callable[[int, Params], Tensor | None]
"""(step, parameters) -> the vector [p] to go against, or None to stop."""

_FAINT = 2.0**-40  # a power of two: multiplying by it and dividing again changes no digit


class GradientMethod(Unlearner):
    """A method that moves the parameters step by step, so that a mask can hold some of them in place.

    Needs a handful of vectors of the parameters' size beside what the problem's own gradient takes.
    """

    @abstractmethod
    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        """The new parameters; where `mask` [p] is 0 they stay as they are."""

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        return settled(remaining, self.moved(problem, remaining, forget, None), forget), state


def settled(remaining: Problem, params: Params, forget: ForgetSet) -> Problem:
    """The remaining problem under these parameters, with the rows of the forgotten put where they belong.

    A step moves rows that it should not: a sign step moves all of them.
    """
    after = remaining.with_params(params)
    return after.with_params(after.settled(forget))


def descend(
    start: Params, direction: Direction, *, steps: int, lr: float, update: Update = "adam", mask: Tensor | None = None
) -> Params:
    """`steps` steps of rate `lr` from `start`, each against what `direction` says there."""
    x = flatten(start)
    adam = Adam(x, lr=lr) if update == "adam" else None
    for k in range(steps):
        against = direction(k, unflatten(x, start))
        if against is None:
            break
        if mask is not None:
            against = against * mask
        if adam is not None:
            adam.step(x, against)
        else:
            x.sub_(against.sign() if update == "sign" else against, alpha=lr)
    return unflatten(x, start)


@dataclass(frozen=True)
class Forgotten:
    """The forgotten records as the model sees them that no longer holds them.

    They cannot be asked of the remaining problem, which does not know them; so they stay in the old one, with a weight
    of 2^-40 on loss and message edge, which moves no other node's degree in either precision.
    """

    problem: Problem
    records: Tensor

    @classmethod
    def of(cls, problem: Problem, forget: ForgetSet) -> Forgotten:
        records = problem.records(forget)
        weights = torch.ones(problem.n_records, device=records.device)
        weights[records] = _FAINT
        return cls(problem.weighted(problem.record_unit, weights), records)

    def losses(self, params: Params) -> Tensor:
        """Losses [r]."""
        return self.problem.record_losses(params, self.records) / _FAINT

    def mean_loss(self, params: Params) -> float:
        """Their mean; infinite where there are none, so that whoever raises it has arrived."""
        with torch.no_grad():
            return float(self.losses(params).double().mean()) if self.records.numel() else float("inf")
