"""A small recommender with one retrain, and requests of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from recsys.data import synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet
from unlearn.problem import Fitted

DIM = 100  # above the rank of the solution (70), so that there is one retrain


@dataclass(frozen=True)
class Trained:
    problem: RecommenderProblem
    user: ForgetSet
    item: ForgetSet
    single: ForgetSet


@functools.cache
def trained() -> Trained:
    data = synthetic(n_users=300, n_items=250, n_interactions=5000, seed=4)
    options = TrainingOptions(seed=2, tolerance=1e-7)
    problem = RecommenderProblem.build(
        data, objective=WholeData(a=0.05, l2=0.1), options=options, dtype=torch.float64, dim=DIM
    ).fit()
    frame = data.frame()
    counts = frame["user"].value_counts()
    user = counts.index[len(counts) // 2]
    item = frame["item"].value_counts().index[20]
    row = frame.iloc[100]
    return Trained(
        problem,
        ForgetSet(users=(user,)),
        ForgetSet(items=(item,)),
        ForgetSet(interactions=((row["user"], row["item"]),)),
    )


def distance(one: Fitted, other: Fitted) -> float:
    """Of the scores of users and items."""
    assert isinstance(one, RecommenderProblem)
    assert isinstance(other, RecommenderProblem)
    (users, items), (more_users, more_items) = one.readout(), other.readout()
    return float((users @ items.T - more_users @ more_items.T).norm())


def large(problem: RecommenderProblem) -> ForgetSet:
    frame = problem.data.frame().iloc[::12]
    return ForgetSet(interactions=tuple(zip(frame["user"], frame["item"], strict=True)))
