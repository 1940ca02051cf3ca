"""Models that tell what they were trained on from what they were not, for every test of this folder."""

from __future__ import annotations

import functools
from typing import Any

import torch

from recsys.data import Interactions
from recsys.objectives import BPR, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import tiny_data
from unlearn.forget import ForgetSet

MILD: dict[str, Any] = {"preserve": 10.0, "temperature": 10.0}  # a few steps on small data are to move something
OBJECTIVES: dict[str, Objective] = {"bpr": BPR(), "whole_data": WholeData(a=0.1, l2=0.1)}


@functools.cache
def trained(model: str = "lightgcn", objective: str = "bpr") -> RecommenderProblem:
    """A model that tells what it was trained on from what it was not."""
    options = TrainingOptions(seed=1, epochs=40, batch_size=200, lr=0.03, tolerance=1e-4, max_iterations=100)
    return RecommenderProblem.build(
        tiny_data(100, 100, 1000), model=model, objective=OBJECTIVES[objective], options=options, dtype=torch.float64,
        dim=12,
    ).fit()  # fmt: skip


def pairs(data: Interactions, positions: list[int]) -> ForgetSet:
    """The interactions at these positions."""
    rows, columns = data.user_rows()[positions], data.indices[positions]
    return ForgetSet(interactions=tuple(zip(data.users.take(rows), data.items.take(columns), strict=True)))
