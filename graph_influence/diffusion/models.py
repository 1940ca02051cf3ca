"""Independent cascade and linear threshold, simulated forward by one kernel: both are reachability over live arcs.

Kempe, Kleinberg and Tardos, "Maximizing the spread of influence through a social network" (KDD 2003).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import steps
from graph_influence.diffusion.cascades import Cascades, Gains
from graph_influence.diffusion.kernels import simulate
from graph_influence.graph import SocialGraph
from graph_influence.parallel import in_chunks
from graph_influence.seeds import seed_rows
from unlearn.vocabulary import Id

_CHUNK = 1024  # runs between which an interrupt is answered
_NOBODY = np.empty(0, dtype=np.int64)


class Diffusion(ABC):
    """A model of how activity spreads on a graph, prepared for simulation: forward rows with the coins' shares.

    Arc e is live in run r of a seed exactly where coin(r, counter of e) lies in [low, low + width) of e; the nodes that
    the seeds reach over live arcs become active, one step of the cascade an arc. Results are whole numbers summed over
    runs: the same for every number of threads, and for the arcs of a graph that somebody has left (until `compact`).
    """

    name: ClassVar[str]

    def __init__(self, graph: SocialGraph) -> None:
        ptr, arcs = graph.out
        counter, low = self._coins(graph, arcs)
        self.graph = graph
        self.arrays = (
            ptr.astype(np.uint64),
            graph.target[arcs].astype(np.uint32),
            counter.astype(np.uint32),
            low,
            steps(graph.probability[arcs]),
        )

    @abstractmethod
    def _coins(self, graph: SocialGraph, arcs: NDArray[np.int64]) -> tuple[NDArray[np.integer], NDArray[np.uint64]]:
        """Which coin decides on each of `arcs` [m], and where the arc's share of that coin begins."""

    def simulate(
        self, seeds: Iterable[Id], *, runs: int = 10_000, seed: int = 0, threads: int | None = None
    ) -> Cascades:
        """Cascades from seeds given by external ids.

        Raises:
            UnknownIds: a seed is not in the graph.
            InvalidSeeds: a seed occurs twice, or there are more than nodes.
            ValueError: fewer than one run or thread.
        """
        return self.simulate_rows(seed_rows(self.graph, seeds), runs=runs, seed=seed, threads=threads)

    def simulate_rows(
        self, rows: NDArray[np.int64], *, runs: int = 10_000, seed: int = 0, threads: int | None = None
    ) -> Cascades:
        """Cascades from seeds given by rows, all different."""
        sizes, activations, growth, _ = self._run(rows, _NOBODY, runs, seed, threads)
        lasted = int(np.count_nonzero(growth[0]))
        return Cascades(self.name, seed, sizes, activations, growth[:, :lasted])

    def marginal_gains(
        self,
        seeds: Iterable[Id],
        candidates: Iterable[Id] | None = None,
        *,
        runs: int = 10_000,
        seed: int = 0,
        threads: int | None = None,
    ) -> Gains:
        """What each candidate (by default every node) would add to the spread of the seeds, each on its own.

        All of it is measured in the same runs, and exact in each: a candidate's cascade goes on from where that of the
        seeds has ended.

        Raises:
            UnknownIds, InvalidSeeds, ValueError: as `simulate`, for candidates too.
        """
        rows = seed_rows(self.graph, seeds)
        alive = np.flatnonzero(self.graph.nodes.alive)
        others = alive if candidates is None else seed_rows(self.graph, candidates)
        return self.gains_rows(rows, others, runs=runs, seed=seed, threads=threads)

    def gains_rows(
        self,
        rows: NDArray[np.int64],
        candidates: NDArray[np.int64],
        *,
        runs: int = 10_000,
        seed: int = 0,
        threads: int | None = None,
    ) -> Gains:
        """`marginal_gains`, by rows."""
        sizes, _, _, gains = self._run(rows, candidates, runs, seed, threads)
        return Gains.of(sizes, candidates, gains)

    def _run(
        self, rows: NDArray[np.int64], candidates: NDArray[np.int64], runs: int, seed: int, threads: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        seeds, others, n = rows.astype(np.uint32), candidates.astype(np.uint32), self.graph.num_nodes
        sizes = np.empty(runs, dtype=np.int64)
        key = np.uint64(seed % 2**64)

        def one(first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
            sums = np.zeros(n, np.int64), np.zeros((2, n + 1), np.int64), np.zeros((2, len(others)), np.int64)
            part = sizes[first : first + count]
            simulate(*self.arrays, seeds, others, key, np.uint64(first), part, *sums)
            return sums

        totals: list[NDArray[np.int64]] = []
        for sums in in_chunks(one, runs, chunk=_CHUNK, threads=threads):
            totals = [a + b for a, b in zip(totals, sums, strict=True)] if totals else list(sums)
        activations, growth, gains = totals
        return sizes, activations, growth, gains


class IndependentCascade(Diffusion):
    """Whoever becomes active has one chance to activate each neighbour, with the probability of the arc.

    The coin of arc e decides on arc e, so it is live where the coin is below p(e).
    """

    name = "ic"

    def _coins(self, graph: SocialGraph, arcs: NDArray[np.int64]) -> tuple[NDArray[np.integer], NDArray[np.uint64]]:
        return arcs, np.zeros(len(arcs), dtype=np.uint64)


class LinearThreshold(Diffusion):
    """Whoever has active in-neighbours of a total weight above its threshold, uniform in [0, 1), becomes active.

    Simulated as its equivalent (claim 2.6 of the paper): each node has at most one live in-arc, arc e with probability
    w(e); activity follows live arcs. The coin of a node falls into the share of one of its in-arcs, or of none.

    Differences from the paper: no thresholds are drawn. The sets active after each step have the same distribution;
    what a run shares with the same run on another graph is the choice of in-arcs, not thresholds.

    Raises:
        InvalidGraph: weights of some node's in-arcs sum to more than 1.
    """

    name = "lt"

    def _coins(self, graph: SocialGraph, arcs: NDArray[np.int64]) -> tuple[NDArray[np.integer], NDArray[np.uint64]]:
        graph.require_weights()
        return graph.target[arcs], graph.share[arcs]


MODELS: dict[str, type[Diffusion]] = {model.name: model for model in (IndependentCascade, LinearThreshold)}


def diffusion(name: str, graph: SocialGraph) -> Diffusion:
    """The model of that name on a graph.

    Raises:
        ValueError: there is none.
    """
    if name not in MODELS:
        raise ValueError(f"`model` must be one of {', '.join(MODELS)} (got {name!r})")
    return MODELS[name](graph)
