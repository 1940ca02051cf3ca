"""Recommenders that a service may hold, each trained once."""

from __future__ import annotations

import functools
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pandas as pd

from recsys import workspace
from recsys.closed_form import closed_form
from recsys.data import Interactions, synthetic
from recsys.objectives import BPR, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.store import Storable
from recsys.train import TrainingOptions
from unlearn.target import Subject

KEY = bytes(range(32))


KIND = "controller_customer_id"


OBJECTIVES: dict[str, Objective] = {"whole_data": WholeData(a=0.1, l2=1.0), "bpr": BPR(l2=1e-3)}


@functools.cache
def data() -> Interactions:
    """Small heavy-tailed data with ties, times and ids of 128 bits."""
    rng = np.random.default_rng(11)
    plain = synthetic(n_users=40, n_items=30, n_interactions=400, seed=3)
    assert plain.ties is not None
    users = np.array([uuid.UUID(bytes=rng.bytes(16)).hex for _ in range(plain.n_users)])
    frame = pd.DataFrame(
        {"user": users[plain.user_rows()], "item": plain.items.ids[plain.item_rows()], "time": rng.random(len(plain))}
    )
    ties = pd.DataFrame({"source": users[plain.ties[:, 0]], "target": users[plain.ties[:, 1]]})
    return Interactions.from_frame(frame, time="time", ties=ties)


@functools.cache
def stored(kind: str) -> Path:
    """A workspace with a trained model."""
    options = TrainingOptions(seed=1, epochs=5, lr=0.05, batch_size=64)
    model: Storable
    if kind in OBJECTIVES:
        model = RecommenderProblem.build(data(), objective=OBJECTIVES[kind], options=options, dim=6, layers=2).fit()
    else:
        model = closed_form(kind, data()).fit()
    folder = Path(tempfile.mkdtemp()) / "model"
    workspace.save(model, folder)
    return folder


def people(*numbers: int) -> tuple[Subject, ...]:
    return tuple(Subject(KIND, str(data().users.ids[number])) for number in numbers)
