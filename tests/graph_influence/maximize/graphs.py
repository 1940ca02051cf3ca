"""Graphs that tests of seed selection share, and the truth about small ones."""

from __future__ import annotations

import functools
from itertools import combinations
from typing import Literal

import numpy as np

from graph_influence.graph import SocialGraph
from graph_influence.schemes import weighted_cascade
from tests.oracles.cascades import worlds
from unlearn.vocabulary import Vocabulary


@functools.cache
def social(n: int = 300, seed: int = 0) -> SocialGraph:
    """Everybody follows some earlier people, most of them the earliest; weighted cascade; ids are texts."""
    random = np.random.default_rng(seed)
    heads = np.repeat(np.arange(1, n), 3)
    tails = (heads * random.uniform(size=len(heads)) ** 2).astype(np.int64)
    back = random.uniform(size=len(heads)) < 0.3
    sources, targets = np.concatenate([tails, heads[back]]), np.concatenate([heads, tails[back]])
    nodes = Vocabulary([f"p{number}" for number in range(n)])
    return weighted_cascade(SocialGraph.from_arcs(sources, targets, nodes=nodes))


class Enumerated:
    """The exact spread of every seed set of a small graph."""

    def __init__(self, graph: SocialGraph, model: Literal["ic", "lt"]) -> None:
        self.graph = graph
        self.alive = np.flatnonzero(graph.nodes.alive).tolist()
        truth = worlds(graph, model)
        self.chance = truth.chance
        self.reach = {row: truth.reached([row]) for row in self.alive}

    def spread(self, rows) -> float:
        reached = np.any([self.reach[int(row)] for row in rows], axis=0)
        return float(self.chance @ reached.sum(1))

    def best(self, k: int) -> float:
        return max(self.spread(rows) for rows in combinations(self.alive, k))
