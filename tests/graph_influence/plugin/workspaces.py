"""Social networks that a service may hold, each planned once."""

from __future__ import annotations

import functools
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from graph_influence import workspace
from graph_influence.graph import SocialGraph
from graph_influence.network import Network, Plan
from graph_influence.plugin import NetworkTarget, target
from graph_influence.standing_surrogate import Lessons
from graph_influence.surrogate import surrogate
from tests.graph_influence.maximize.graphs import social
from tests.graph_influence.rrsets.conftest import uneven
from unlearn.target import Pseudonyms, Subject
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
