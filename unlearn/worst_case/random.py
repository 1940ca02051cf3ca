"""The baseline that any worst case is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.problem import Problem
from unlearn.streams import uniforms
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room


@register
@dataclass(frozen=True)
class Random(Ranking):
    """Units drawn at random, each with a draw of its own by the seed."""

    name = "random"

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        return torch.from_numpy(uniforms(seed, "worst_case/random", room.keys))
