"""The units that the model knows only because it was trained on them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn.invalid import require
from unlearn.problem import Problem
from unlearn.worst_case.asking import Asking
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room
from unlearn.worst_case.held_out import held_out_losses


@register
@dataclass(frozen=True)
class MostMemorised(Ranking):
    """The units of the largest held-out loss less training loss.

    The memorisation of Feldman and Zhang, "What neural networks memorize and why", 2020, arXiv 2008.03703, in losses:

        mem_i = l_i(theta without the fold of i) - l_i(theta)

    **Differences from the paper:** losses in place of accuracies; `folds` models, one of which leaves the unit out, in
    place of thousands that leave out 30 %; `unlearn worst-case` needs a ranking, not an estimate.

    Raises:
        ValueError: too few folds.
    """

    name = "most_memorised"
    folds: int = 5

    def __post_init__(self) -> None:
        require(self, folds=("an integer of at least 2", self.folds >= 2))

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        return memorisation(problem, room, self.folds, seed=seed)


def memorisation(problem: Problem, room: Room, folds: int, *, seed: int) -> Tensor:
    """Held-out less training loss, float64 [k]; positive where training on the unit kept its loss low."""
    asking = Asking.of(problem, room, seed=seed)
    return held_out_losses(problem, asking, folds, seed=seed) - asking.trained(problem.params)
