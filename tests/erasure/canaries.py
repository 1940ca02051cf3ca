"""Data whose users, items and single interactions (by their times, random doubles) are 128-bit canaries."""

from __future__ import annotations

import functools
import uuid
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from recsys.data import Interactions, synthetic
from recsys.objectives import BPR, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet
from unlearn.methods import UnlearnResult, method, methods

KEY = b"a key that is kept apart"
# `no_op` goes on with the old model on purpose; `sharding` serves a model of its own, which is not stored.
METHODS = sorted(set(methods()) - {"no_op", "sharding"})
KEEPS_ROWS = {"graph_drop"}  # the baseline of the old parameters; its data, ids and graph are the remaining ones
OBJECTIVES = {"whole_data": WholeData(a=0.1, l2=1.0), "bpr": BPR(l2=1e-3)}


@functools.cache
def canary_data() -> Interactions:
    """Small heavy-tailed data with ties, whose ids and times are random."""
    rng = np.random.default_rng(11)
    data = synthetic(n_users=40, n_items=30, n_interactions=300, seed=3)
    assert data.ties is not None

    def ids(count: int) -> np.ndarray:
        return np.array([uuid.UUID(bytes=rng.bytes(16)).hex for _ in range(count)])

    users, items = ids(data.n_users), ids(data.n_items)
    frame = pd.DataFrame(
        {"user": users[data.user_rows()], "item": items[data.item_rows()], "time": rng.random(len(data))}
    )
    ties = pd.DataFrame({"source": users[data.ties[:, 0]], "target": users[data.ties[:, 1]]})
    return Interactions.from_frame(frame, time="time", ties=ties)


@functools.cache
def trained(objective: str, model: str = "lightgcn") -> RecommenderProblem:
    chosen: Objective = OBJECTIVES[objective]
    options = TrainingOptions(
        seed=1, tolerance=1e-4, epochs=4, lr=0.05, batch_size=64, checkpoint_every=2,
        keep=frozenset({"checkpoints", "optimizer"}),
    )  # fmt: skip
    return RecommenderProblem.build(
        canary_data(), model=model, objective=chosen, options=options, dim=6, layers=2
    ).fit()


def applicable(objective: str) -> list[str]:
    """The methods that can be applied to that model."""
    return [name for name in METHODS if method(name).obstacle(trained(objective)) is None]


@dataclass(frozen=True)
class Case:
    """A request, and what must be gone once it is served."""

    forget: ForgetSet
    ids: tuple[str, ...]  # of users and items
    times: tuple[float, ...]  # of all interactions that go

    @property
    def canaries(self) -> tuple[str | float, ...]:
        return (*self.ids, *self.times)


@functools.cache
def cases() -> dict[str, Case]:
    data = canary_data()
    frame = data.frame()
    users, items = ([str(value) for value in frame[side].value_counts().index] for side in ("user", "item"))
    pairs = frame.iloc[[5, 100, 250]]
    single = tuple(zip(pairs["user"], pairs["item"], strict=True))
    alone = frame[(frame["user"] == users[3]) & (frame["item"] != items[4])].iloc[:1]
    mixed = ForgetSet(
        users=(users[5], users[-1]), items=(items[4],), interactions=((alone["user"].item(), alone["item"].item()),)
    )
    forget = {
        "users": ForgetSet(users=(users[0], users[20])),
        "items": ForgetSet(items=(items[0], items[12])),
        "interactions": ForgetSet(interactions=single),
        "mixed": mixed,
    }
    emptied = frame[(frame["user"] == users[7]) | (frame["item"] == items[20])]
    forget["emptied"] = ForgetSet(interactions=tuple(zip(emptied["user"], emptied["item"], strict=True)))
    assert data.time is not None
    return {
        name: Case(
            forget=one,
            ids=tuple(str(value) for value in (*one.users, *one.items)),
            times=tuple(data.time[data.positions(one)].tolist()),
        )
        for name, one in forget.items()
    }


KINDS = ["users", "items", "interactions", "mixed"]


def served(name: str, kind: str, objective: str = "whole_data") -> UnlearnResult:
    problem, unlearner = trained(objective), method(name)
    return unlearner.forget(problem, cases()[kind].forget, unlearner.prepare(problem))


def undetermined_nodes(before: RecommenderProblem, forget: ForgetSet) -> torch.Tensor:
    """Rows of the table that nothing remaining has a say in.

    Of those named, and of everybody whose last interaction goes; an item without any is still a negative under `bpr`.
    """
    data = before.data
    left = [np.flatnonzero(was & ~now) for was, now in zip(_reached(data), _reached(data.without(forget)), strict=True)]
    users, items = data.users.rows(forget.users), data.items.rows(forget.items)
    if not before.stochastic:
        items = np.union1d(items, left[1])
    return torch.from_numpy(np.concatenate([np.union1d(users, left[0]), items + data.n_users]))


def _reached(data: Interactions) -> tuple[np.ndarray, np.ndarray]:
    users, items = data.degrees()
    return users > 0, items > 0
