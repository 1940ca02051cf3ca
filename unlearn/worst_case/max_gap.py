"""The units that a method leaves furthest from where a retrain would."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from unlearn.problem import Problem
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room
from unlearn.worst_case.held_out import folds
from unlearn.worst_case.upper import Upper


@register
@dataclass(frozen=True)
class MaxGap(Ranking):
    """The units that a method still fits best, compared with a model that never saw them.

        gap_i = l_i(retrain without fold f) - l_i(method's result on fold f),    f the fold of i

    so every unit is measured once, in the company of a random fold: one retrain and one unlearning a fold. Sets that
    are hard because of who else is in them need `bilevel`.

    Args:
        by: the method.
        folds: the more, the more like the budget's own set a fold is, and the dearer.
    """

    name = "max_gap"
    by: str = "graph_drop"
    folds: int = 5

    def judged_by(self) -> Upper:
        return Upper("max_gap", self.by, self.folds)

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        judge = self.judged_by().ready(problem, room, seed=seed)
        found = torch.empty(len(room), dtype=torch.float64)
        parts = folds(len(room), self.folds, seed=seed)
        for rows in tqdm(parts, total=self.folds, desc="folds", disable=None, leave=False):
            found[rows] = judge.reference[rows] - judge.asking.losses(judge.unlearned(rows).params, rows)
        return found
