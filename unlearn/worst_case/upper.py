"""What a worst-case set is sought by: what is left to see of it after unlearning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm

from unlearn.invalid import require
from unlearn.methods.base import MissingRequirement, State, Unlearner, VerificationFailed, finite, method
from unlearn.problem import Problem
from unlearn.specification import unlearner
from unlearn.worst_case.asking import Asking
from unlearn.worst_case.budget import Room
from unlearn.worst_case.held_out import folds, held_out_losses

Objective = Literal["still_fitted", "max_gap"]


@dataclass(frozen=True)
class Upper:
    """The figure of a forget set F after a method has unlearned it; the lower, the worse for the method.

    `still_fitted`:  sum_F c_i l_i(theta_u) / sum_F c_i: what the model fits although it has forgotten it.
    `max_gap`:       sum_F c_i (l_i(theta_u) - l_i(theta_ref)) / sum_F c_i: how much better it fits what it forgot
                     than a model that never saw it, theta_ref the retrain without the unit's fold.

    l_i is the mean loss of unit i's records, asked as `Asking` says; c_i is 1, or the records of the unit where the
    budget counts those.

    Args:
        by: the method, with arguments where there are some: `iau:lr=0.02`.

    Raises:
        ValueError: there is no such objective or method, or an argument is not one of its own.
    """

    objective: Objective = "still_fitted"
    by: str = "reconverge"
    folds: int = 5

    def __post_init__(self) -> None:
        require(self)
        unlearner(self.by)

    def ready(self, problem: Problem, room: Room, *, seed: int) -> Judge:
        """The judge of forget sets of one problem; `max_gap` trains its references here.

        Raises:
            MissingRequirement: the method cannot be applied to this problem, or serves with a model that is none.
        """
        served = settling(problem) if self.by == "reconverge" else unlearner(self.by)
        state = served.prepare(problem)
        if not isinstance(other := served.subject(problem, state), Problem):
            raise MissingRequirement(
                f"`{self.by}` must serve with a model that has weights to judge sets by (got a {type(other).__name__})"
            )
        asking = Asking.of(problem, room, seed=seed)
        reference = torch.zeros(len(room), dtype=torch.float64)
        if self.objective == "max_gap":
            reference = held_out_losses(problem, asking, self.folds, seed=seed)
        return Judge(asking, served, state, reference)


@dataclass(frozen=True, eq=False)
class Judge:
    """Unlearns forget sets of one problem and says what is left to see of them."""

    asking: Asking
    unlearner: Unlearner
    state: State | None
    reference: Tensor  # float64 [k], subtracted from the units' losses

    @property
    def room(self) -> Room:
        return self.asking.room

    def unlearned(self, rows: Tensor) -> Problem:
        """The problem after the units at these places were forgotten.

        Raises:
            VerificationFailed: the method ended with numbers that are not finite, by which no sets compare.
        """
        forget = self.room.forget_set(rows)
        after = self.unlearner.forget(self.asking.problem, forget, self.state).problem
        assert isinstance(after, Problem)
        if not finite(after):
            raise VerificationFailed(
                f"`{self.unlearner.name}` ended with parameters that are not finite for {forget!r}; judge sets by "
                "another method, or give it other arguments"
            )
        return after

    def value(self, rows: Tensor) -> float:
        """The upper objective of these units, after unlearning them."""
        losses = self.asking.losses(self.unlearned(rows).params, rows)
        costs = self.room.costs[rows]
        return float((costs * (losses - self.reference[rows])).sum() / costs.sum())


def unlearned_losses(judge: Judge, k: int, *, seed: int) -> Tensor:
    """Mean loss, float64 [units], of every unit after the judge's method has unlearned its fold, one of `k`."""
    found = torch.empty(len(judge.room), dtype=torch.float64)
    for rows in tqdm(folds(len(found), k, seed=seed), total=k, desc="folds", disable=None, leave=False):
        found[rows] = judge.asking.losses(judge.unlearned(rows).params, rows)
    return found


def settling(problem: Problem) -> Unlearner:
    """The nearest there is to a retrain: re-convergence taken far, or a coupled retrain where training samples."""
    if problem.stochastic:
        return method("retrain", coupled=True)
    return method("reconverge", accuracy=0.01)
