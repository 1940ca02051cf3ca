"""The social graph keeps the contract of a target, and answers nothing about anybody who is to be forgotten."""

from __future__ import annotations

import functools
import shutil
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graph_influence import store
from graph_influence.commands import workspace
from graph_influence.graph import SocialGraph
from graph_influence.network import Network, Plan
from graph_influence.plugin import NetworkTarget, Serving, target
from graph_influence.standing_surrogate import Lessons
from graph_influence.surrogate import surrogate
from tests.graph_influence.maximize.graphs import social
from tests.graph_influence.rrsets.conftest import uneven
from tests.unlearn.target.contract import TargetContract
from unlearn.target import Pseudonyms, Subject, Target
from unlearn.vocabulary import Vocabulary

KEY = bytes(range(32))
KIND = "controller_customer_id"
PLANS = {
    "frozen": Plan(k=6, share=0.8),
    "renormalised": Plan(k=6, share=0.8, semantics="renormalised", scheme="weighted_cascade"),
    "uneven": Plan(k=6, share=0.8, model="lt"),
    "learned": Plan(k=6, share=0.8),
}
LEARNED = {"learned": "ic", "uneven": "lt"}  # with a surrogate
LESSONS = Lessons(sets=6, runs=300, epochs=60)


@functools.cache
def graph(kind: str) -> SocialGraph:
    """A graph with hubs, and ids of 128 bits; under "uneven" with unequal probabilities."""
    rng, plain = np.random.default_rng(11), social(120)
    names = Vocabulary([uuid.UUID(bytes=rng.bytes(16)).hex for _ in range(plain.num_nodes)])
    named = replace(plain, nodes=names)
    return named.with_probability(0.9 * uneven(named).probability) if kind == "uneven" else named


def built(kind: str) -> Network:
    """The network of that graph."""
    learns = surrogate("gcn", depth=2, width=6, model=LEARNED[kind]) if kind in LEARNED else None
    return Network.build(graph(kind), PLANS[kind], surrogate=learns, lessons=LESSONS, seed=3)


@functools.cache
def stored(kind: str) -> Path:
    """A workspace."""
    folder = Path(tempfile.mkdtemp()) / "network"
    workspace.save(built(kind), folder)
    return folder


def people(*numbers: int) -> tuple[Subject, ...]:
    return tuple(Subject(KIND, str(graph("frozen").nodes.ids[number])) for number in numbers)


def opened(folder: Path, **options: Any) -> NetworkTarget:
    return target({"workspace": str(folder), **options}, Pseudonyms(KEY))


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
