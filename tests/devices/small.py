"""Recommenders small enough to be trained on both devices, in float64 so that both must agree."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from recsys.data import Interactions, synthetic
from recsys.objectives import Objective, WholeData, objective
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet
from unlearn.problem import Fitted

OBJECTIVES: dict[str, Objective] = {
    "whole_data": WholeData(a=0.1, l2=1.0),
    "bpr": objective("bpr", l2=1e-3),
}
CLOSE = {"rtol": 1e-6, "atol": 1e-8}  # iterations that add in another order


@functools.cache
def interactions() -> Interactions:
    return synthetic(n_users=60, n_items=40, n_interactions=600, seed=3)


def untrained(function: Objective, model: str = "lightgcn", **arguments: Any) -> RecommenderProblem:
    options = TrainingOptions(
        seed=1, tolerance=1e-9, epochs=4, lr=0.05, batch_size=64, checkpoint_every=2,
        keep=frozenset({"checkpoints", "optimizer"}),
    )  # fmt: skip
    return RecommenderProblem.build(
        interactions(), model=model, objective=function, options=options, dim=8, dtype=torch.float64, **arguments
    )


@functools.cache
def trained(name: str, model: str = "lightgcn") -> RecommenderProblem:
    return untrained(OBJECTIVES[name], model).fit()


def some_users() -> ForgetSet:
    ids = interactions().users.take([0, 7, 31])
    return ForgetSet(users=tuple(ids))


def some_of_everything() -> ForgetSet:
    data = interactions()
    pairs = zip(data.users.take(data.user_rows()[[50, 300]]), data.items.take(data.item_rows()[[50, 300]]), strict=True)
    return ForgetSet(users=tuple(data.users.take([7])), items=tuple(data.items.take([3])), interactions=tuple(pairs))


def pairs() -> Tensor:
    return torch.cartesian_prod(torch.arange(interactions().n_users), torch.arange(interactions().n_items))


def assert_agrees(there: Fitted, here: Fitted, *, rtol: float = 1e-6) -> None:
    """Scores of every pair, relative to their norm."""
    ours, theirs = there.outputs(pairs()), here.outputs(pairs())
    distance = float((ours.cpu() - theirs).norm() / theirs.norm())
    assert distance <= rtol, f"scores differ by {distance:.2g} of their norm"
