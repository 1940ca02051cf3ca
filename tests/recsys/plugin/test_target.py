"""The recommender keeps the contract of a target, and serves nobody who is to be forgotten."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.closed_form import closed_form
from recsys.commands import workspace
from recsys.data import Interactions, synthetic
from recsys.objectives import BPR, Objective, WholeData
from recsys.plugin import RecommenderTarget, Serving, target
from recsys.problem import RecommenderProblem
from recsys.store import Storable
from recsys.train import TrainingOptions
from tests.unlearn.target.contract import TargetContract
from unlearn.target import Pseudonyms, Subject, Target

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
    options = TrainingOptions(seed=1, epochs=5, learning_rate=0.05, batch_size=64)
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


class TestRecommender(TargetContract):
    kind = "whole_data"
    every_change = 7

    def create(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        shutil.copytree(stored(self.kind), folder / "model")

    def open(self, folder: Path) -> RecommenderTarget:
        return target({"workspace": str(folder / "model")}, Pseudonyms(KEY))

    def people(self) -> tuple[Subject, ...]:
        return people(3, 17, 20, 25)

    def published(self, folder: Path) -> str:
        with workspace.at(folder / "model").held():  # which finishes what a killed process left between two renames
            return json.loads((folder / "model" / "model" / "manifest.json").read_text("utf-8"))["digest"]

    def answers_to(self, target: Target, subject: Subject) -> bool:
        assert isinstance(target, RecommenderTarget)
        return Serving(target).recommend(subject.value, k=3) is not None

    def takes_in(self, target: Target, subject: Subject) -> bool:
        assert isinstance(target, RecommenderTarget)
        arrived = pd.DataFrame({"user": [subject.value], "item": [data().items.ids[0]], "time": [0.5]})
        return target.take_in(arrived).refused == 0


class TestSampledRecommender(TestRecommender):
    kind = "bpr"
    every_change = 29


class TestClosedForm(TestRecommender):
    kind = "ease"
    every_change = 29
