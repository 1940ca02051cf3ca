"""What searches are tried on."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import tiny_data
from unlearn.worst_case import Budget, Judge, Room, Upper

DTYPE = torch.float64


@functools.cache
def recommender(seed: int = 1) -> RecommenderProblem:
    """Converged far beyond what a test needs; wide enough to have one solution."""
    options = TrainingOptions(seed=seed, tolerance=1e-11, max_iterations=4000)
    data = tiny_data(16, 12, 70)
    return RecommenderProblem.build(
        data, objective=WholeData(a=0.1, l2=1.0), options=options, dtype=DTYPE, dim=8, layers=2
    ).fit()


def ready(problem: Any, budget: str, **upper: Any) -> tuple[Room, Judge]:
    room = Budget.parse(budget).room(problem.units(Budget.parse(budget).unit))
    return room, Upper(**upper).ready(problem, room, seed=0)


def interior(room: Room) -> Tensor:
    draw = torch.rand(len(room), generator=torch.Generator().manual_seed(3), dtype=DTYPE)
    return 0.1 + 0.6 * draw
