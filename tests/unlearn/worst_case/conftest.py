"""Small recommenders that forget sets are sought in."""

from __future__ import annotations

import pytest
import torch

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import tiny_data


@pytest.fixture(scope="package")
def problem() -> RecommenderProblem:
    return built("lightgcn", l2=1.0)


@pytest.fixture(scope="package")
def social() -> RecommenderProblem:
    """With the ties between users; of rank enough that not everybody is answered alike."""
    return built("social_lightgcn", l2=0.1)


def built(model: str, *, l2: float) -> RecommenderProblem:
    return RecommenderProblem.build(
        tiny_data(30, 20, 200), model=model, objective=WholeData(a=0.1, l2=l2), dtype=torch.float64, dim=8, layers=2,
        options=TrainingOptions(seed=1, tolerance=1e-8),
    ).fit()  # fmt: skip
