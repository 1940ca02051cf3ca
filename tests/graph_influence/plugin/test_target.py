"""The social graph keeps the contract of a target, and answers nothing about anybody who is to be forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from graph_influence import store, workspace
from graph_influence.plugin import NetworkTarget, Serving
from tests.graph_influence.plugin.workspaces import (
    graph,
    opened,
    people,
    stored,
)
from tests.unlearn.target.contract import TargetContract
from unlearn.target import Subject, Target


class TestNetwork(TargetContract):
    kind = "frozen"
    every_change = 11

    def create(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        shutil.copytree(stored(self.kind), folder / "network")

    def open(self, folder: Path) -> NetworkTarget:
        return opened(folder / "network")

    def people(self) -> tuple[Subject, ...]:
        return people(0, 7, 30, 55)  # the first is a hub and a seed

    def published(self, folder: Path) -> str:
        with workspace.at(folder / "network").held():
            return store.described(folder / "network" / "model")["digest"]

    def answers_to(self, target: Target, subject: Subject) -> bool:
        assert isinstance(target, NetworkTarget)
        return Serving(target).spread([subject.value]) is not None

    def takes_in(self, target: Target, subject: Subject) -> bool:
        assert isinstance(target, NetworkTarget)
        tie = {"source": [subject.value], "target": [graph(self.kind).nodes.ids[90]], "probability": [0.01]}
        return target.take_in(pd.DataFrame(tie)).refused == 0


class TestRenormalised(TestNetwork):
    kind = "renormalised"
    every_change = 41


class TestUneven(TestNetwork):
    kind = "uneven"
    every_change = 41


class TestLearned(TestNetwork):
    kind = "learned"
    every_change = 23
