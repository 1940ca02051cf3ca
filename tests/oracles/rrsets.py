"""Reverse-reachable sets of small graphs: the probability of each, and how far draws are from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graph_influence.graph import SocialGraph
from graph_influence.rrsets.rows import Rows
from tests.oracles.cascades import Model, worlds

_FEW = 5.0  # expected draws below which sets share a cell


def probabilities(graph: SocialGraph, model: Model) -> NDArray[np.float64]:
    """Probability of every set of nodes, [2^n]: bit u of its number tells whether u is in it.

    The root is uniform over who is there, and the set is everybody who reaches it in a random world.
    """
    every = worlds(graph, model)
    n = graph.num_nodes
    number = sum(every.reached([node]).astype(np.int64) << node for node in range(n))  # [worlds, roots]
    alive = np.flatnonzero(graph.nodes.alive)
    chance = np.repeat(every.chance[:, None], len(alive), 1) / len(alive)
    return np.bincount(number[:, alive].ravel(), chance.ravel(), minlength=2**n)


def counts(members: Rows, n: int) -> NDArray[np.int64]:
    """How often each set of nodes was drawn, [2^n]."""
    packed = members.packed()
    numbers = np.add.reduceat(1 << packed.data[: packed.used].astype(np.int64), packed.start)
    return np.bincount(numbers, minlength=2**n)


class Deviation:
    """Pearson's chi-squared of draws against exact probabilities, summed over many graphs, in standard errors.

    Of k cells of probabilities p and N draws it has mean k - 1 and variance 2 (k - 1) + (sum 1/p - k^2 - 2 k + 2) / N,
    exactly. One number for all graphs: that it exceeds 4 by chance happens once in 30,000 times, however many graphs.
    """

    def __init__(self) -> None:
        self.surplus, self.variance = 0.0, 0.0

    def add(self, drawn: NDArray[np.int64], probability: NDArray[np.float64]) -> None:
        total = drawn.sum()
        assert not drawn[probability < 1e-14].any(), "a set that cannot be was drawn"
        wide = probability * total >= _FEW
        p = np.append(probability[wide], probability[~wide].sum())
        seen = np.append(drawn[wide], drawn[~wide].sum())
        if p[-1] * total < 1e-9:
            p, seen = p[:-1], seen[:-1]
        cells = len(p)
        self.surplus += float(((seen - p * total) ** 2 / (p * total)).sum()) - (cells - 1)
        self.variance += 2 * (cells - 1) + float((1 / p).sum() - cells**2 - 2 * cells + 2) / total

    @property
    def in_standard_errors(self) -> float:
        return self.surplus / self.variance**0.5
