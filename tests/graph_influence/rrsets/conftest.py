"""Graphs and comparisons that the tests of reverse-reachable sets share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from unlearn.vocabulary import Vocabulary


def social(n: int = 300, arcs: int = 1_500, seed: int = 0, nodes: Vocabulary | None = None) -> SocialGraph:
    """A graph with a few hubs, nodes without arcs, and all probabilities 1."""
    random = np.random.default_rng(seed)
    popular = (n * random.uniform(size=arcs) ** 3).astype(np.int64)
    return SocialGraph.from_arcs(popular, random.integers(n - 5, size=arcs), nodes=nodes or n, undirected=True)


def weighted_cascade(graph: SocialGraph) -> SocialGraph:
    share = 1 / np.maximum(graph.in_degree(), 1)[graph.target]
    return replace(graph, probability=np.where(graph.alive, share, 0.0))


def uneven(graph: SocialGraph, seed: int = 0) -> SocialGraph:
    """Unequal probabilities, many of them small; in-weights of at most 1."""
    p = np.random.default_rng(seed).uniform(size=graph.num_arcs) ** 2
    total = np.bincount(graph.target, p, minlength=graph.num_nodes)
    return graph.with_probability(p / np.maximum(total, 0.5)[graph.target] * (1 - 1e-12))


@pytest.fixture(params=["ic", "lt"])
def model(request: pytest.FixtureRequest) -> str:
    return request.param
