"""Problems of which the answer is known, and what it takes to compare it to many digits."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import tiny_data
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.params import flatten

SHARP: dict[str, Any] = {"damping": 1e-12, "tolerance": 1e-12, "max_products": 5000}


def step(unlearner: Any, problem: Any, forget: ForgetSet) -> Tensor:
    return flatten(unlearner.forget(problem, forget).problem.params) - flatten(problem.params)


def kept(problem: AttachedProblem, *gone: int) -> tuple[Tensor, Tensor]:
    x, y = problem.payload
    left = [i for i in range(len(x)) if i not in gone]
    return x[left], y[left]


@functools.cache
def factorised() -> RecommenderProblem:
    options = TrainingOptions(seed=1, tolerance=1e-9, max_iterations=3000)
    objective = WholeData(a=0.1, l2=0.5)
    data = tiny_data()
    return RecommenderProblem.build(
        data, model="mf", objective=objective, options=options, dtype=torch.float64, dim=6
    ).fit()


def pairs(problem: RecommenderProblem, *rows: int) -> ForgetSet:
    return ForgetSet(interactions=tuple((r.user, r.item) for r in problem.data.frame().iloc[list(rows)].itertuples()))
