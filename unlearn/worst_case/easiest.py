"""The units that the model fits best."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn.problem import Problem
from unlearn.worst_case.asking import mean_losses
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room


@register
@dataclass(frozen=True)
class Easiest(Ranking):
    """The units of the lowest mean loss under the original model; of ties, those whose ends it finds most alike.

    What the search of "Challenging forgets: Unveiling the worst-case forget sets in machine unlearning", 2024, arXiv
    2403.07362 has to beat: where its upper weights start uniform, its first step gives just this set.
    """

    name = "easiest"

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        return -mean_losses(problem, room)
