"""The units that the model fits best."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.problem import Problem
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room


@register
@dataclass(frozen=True)
class Easiest(Ranking):
    """The units of the lowest mean loss under the original model.

    What the search of "Challenging forgets: Unveiling the worst-case forget sets in machine unlearning", 2024, arXiv
    2403.07362 has to beat: where its upper weights start uniform, its first step gives just this set.
    """

    name = "easiest"

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        with torch.no_grad():
            losses = problem.record_losses(problem.params).double()
        return -room.means(losses, torch.arange(len(losses), device=losses.device))
