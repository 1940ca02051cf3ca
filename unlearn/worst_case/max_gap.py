"""The units that a method leaves furthest from where a retrain would."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn.invalid import require
from unlearn.problem import Problem
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room
from unlearn.worst_case.upper import Upper, unlearned_losses


@register
@dataclass(frozen=True)
class MaxGap(Ranking):
    """The units that a method still fits best, compared with a model that never saw them.

        gap_i = l_i(retrain without fold f) - l_i(method's result on fold f),    f the fold of i

    so every unit is measured once, in the company of a random fold: one retrain and one unlearning a fold. Sets that
    are hard because of who else is in them need `bilevel`.

    Args:
        by: the method, as in `iau` or `iau:lr=0.02`.
        folds: the more, the more like the budget's own set a fold is, and the dearer.

    Raises:
        ValueError: there is no such method, or too few folds.
    """

    name = "max_gap"
    by: str = "graph_drop"
    folds: int = 5

    def __post_init__(self) -> None:
        require(self, folds=("an integer of at least 2", self.folds >= 2))
        self.judged_by()  # knows the method

    def judged_by(self) -> Upper:
        return Upper("max_gap", self.by, self.folds)

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        judge = self.judged_by().ready(problem, room, seed=seed)
        return judge.reference - unlearned_losses(judge, self.folds, seed=seed)
