"""Exact spread on small graphs: every live-arc graph that independent cascade or linear threshold can draw."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graph_influence.graph import SocialGraph

Model = Literal["ic", "lt"]


@dataclass(frozen=True)
class Worlds:
    """The live-arc graphs of a social graph: `chance` [w] of each, and which arcs are `live` in it, [w, m]."""

    graph: SocialGraph
    chance: NDArray[np.float64]
    live: NDArray[np.bool_]

    def reached(self, seeds: list[int]) -> NDArray[np.bool_]:
        """Whether each node is active at the end of each world, [w, n], from rows of seeds."""
        active = np.zeros((len(self.chance), self.graph.num_nodes), dtype=np.bool_)
        active[:, seeds] = True
        before = -1
        while active.sum() != before:
            before = active.sum()
            for arc, (tail, head) in enumerate(ends(self.graph)):
                active[:, head] |= active[:, tail] & self.live[:, arc]
        return active

    def activation(self, seeds: list[int]) -> NDArray[np.float64]:
        """Probability that each node becomes active, [n]."""
        return self.chance @ self.reached(seeds)

    def spread(self, seeds: list[int]) -> float:
        """Expected number of active nodes, seeds included."""
        return float(self.activation(seeds).sum())


def worlds(graph: SocialGraph, model: Model) -> Worlds:
    """All worlds of a graph of at most 15 arcs.

    Independent cascade: each arc is live or not. Linear threshold (Kempe, Kleinberg and Tardos, "Maximizing the spread
    of influence through a social network", KDD 2003, claim 2.6): each node has at most one live in-arc, arc e with
    probability w(e) and none with what is left of 1.
    """
    there = np.flatnonzero(graph.alive).tolist()
    assert len(there) <= 15
    # Arcs of which at most one is live, each group with the chance of each and of none.
    groups: list[list[int]] = [[arc] for arc in there]
    if model == "lt":
        heads = [head for _, head in ends(graph)]
        groups = [[arc for arc in there if heads[arc] == node] for node in {heads[arc] for arc in there}]
    choices = np.array(list(product(*(range(len(group) + 1) for group in groups))), dtype=np.int64)
    live = np.zeros((len(choices), graph.num_arcs), dtype=np.bool_)
    chance = np.ones(len(choices))
    for group, chosen in zip(groups, choices.T, strict=True):
        chance *= np.array([1 - graph.probability[group].sum(), *graph.probability[group]])[chosen]
        for place, arc in enumerate(group, start=1):
            live[:, arc] = chosen == place
    return Worlds(graph, chance, live)


def ends(graph: SocialGraph) -> list[tuple[int, int]]:
    """Rows of the source and the target of each arc, tombstones included."""
    heads = [row for row in range(graph.num_nodes) for _ in range(graph.in_ptr[row], graph.in_ptr[row + 1])]
    return list(zip(graph.source.tolist(), heads, strict=True))


def random_graph(seed: int, model: Model = "ic") -> SocialGraph:
    """A graph of 2 to 8 nodes and at most 12 arcs; in-weights sum to at most 1 where the model asks for it.

    Among them are nodes without arcs, cycles, probabilities of 0 and 1, and for linear threshold full in-weights.
    """
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 9))
    pairs = random.permutation([(u, v) for u in range(n) for v in range(n) if u != v])
    pairs = pairs[: random.integers(1, 13)]
    p = random.uniform(size=len(pairs)) ** random.choice([0.5, 1, 2])
    p[random.uniform(size=len(p)) < 0.1] = 1.0
    p[random.uniform(size=len(p)) < 0.05] = 0.0
    if model == "lt":
        total = np.bincount(pairs[:, 1], p, minlength=n)
        p /= np.maximum(total, random.choice([0.5, 1.0], size=n))[pairs[:, 1]]
        p *= 1 - 1e-15  # rounding may leave a sum just above 1
    return SocialGraph.from_arcs(pairs[:, 0], pairs[:, 1], p, nodes=n)
