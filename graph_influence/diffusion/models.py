"""Independent cascade and linear threshold, simulated forward by one kernel: both are reachability over live arcs.

Kempe, Kleinberg and Tardos, "Maximizing the spread of influence through a social network" (KDD 2003).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import steps
from graph_influence.diffusion.cascades import Cascades, Gains
from graph_influence.diffusion.kernels import LiveArcs, simulate
from graph_influence.graph import SocialGraph
from graph_influence.seeds import distinct_rows, seed_rows
from unlearn.forget import Id
from unlearn.parallel import go_on, in_chunks

Model = Literal["ic", "lt"]

_CHUNK = 1024  # runs that have their sums together
_TOSSES = 2**26  # of coins, at most, between which an interrupt is answered: about a second
_NOBODY = np.empty(0, dtype=np.int64)


class Diffusion(ABC):
    """A model of how activity spreads on a graph, and the `runs` of a `seed` in which it is watched.

    Arc e is live in run r exactly where coin(r, counter of e) lies in [low, low + width) of e; the nodes that the seeds
    reach over live arcs become active, an arc a step. So all that is asked of one model is answered in the same runs
    (common random numbers), and so it is on two graphs of which one is the other less those who left (until `compact`).
    Results are whole numbers summed over runs: the same for every number of `threads`, by default numba's. `progress`
    shows a bar, on a terminal only.

    Raises:
        ValueError: fewer than one run or thread.
    """

    name: ClassVar[str]

    def __init__(
        self,
        graph: SocialGraph,
        *,
        runs: int = 10_000,
        seed: int = 0,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        if runs < 1 or (threads is not None and threads < 1):
            raise ValueError(f"`runs` and `threads` must be at least 1 (got {runs} and {threads})")
        ptr, leaving = graph.out
        counter, low = self._coins(graph, leaving)
        self.graph, self.runs, self.seed = graph, runs, seed
        self._threads, self._progress = threads, progress
        self.arcs = LiveArcs(
            ptr.astype(np.uint64),
            graph.target[leaving].astype(np.uint32),
            counter.astype(np.uint32),
            low,
            steps(graph.probability[leaving]),
        )

    @abstractmethod
    def _coins(self, graph: SocialGraph, arcs: NDArray[np.int64]) -> tuple[NDArray[np.integer], NDArray[np.uint64]]:
        """Which coin decides on each of `arcs` [m], and where the arc's share of that coin begins."""

    def simulate(self, seeds: Iterable[Id]) -> Cascades:
        """Cascades from seeds given by external ids.

        Raises:
            UnknownIds: a seed is not in the graph.
            InvalidSeeds: a seed occurs twice, or there are more than nodes.
        """
        return self.simulate_rows(seed_rows(self.graph, seeds))

    def simulate_rows(self, rows: NDArray[np.int64]) -> Cascades:
        """Cascades from seeds given by rows.

        Raises:
            InvalidSeeds: some are no rows of the graph, or occur twice.
        """
        sizes, activations, growth, _ = self._run(rows, _NOBODY)
        lasted = int(np.count_nonzero(growth[0]))
        return Cascades(self.name, self.seed, sizes, activations, growth[:, :lasted])

    def marginal_gains(self, seeds: Iterable[Id], candidates: Iterable[Id] | None = None) -> Gains:
        """What each candidate (by default every node) would add to the spread of the seeds, each on its own.

        Exact in each run: a candidate's cascade goes on from where that of the seeds has ended.

        Raises:
            UnknownIds, InvalidSeeds: as `simulate`, for candidates too.
        """
        rows = seed_rows(self.graph, seeds)
        alive = np.flatnonzero(self.graph.nodes.alive)
        return self.gains_rows(rows, alive if candidates is None else seed_rows(self.graph, candidates))

    def gains_rows(self, rows: NDArray[np.int64], candidates: NDArray[np.int64]) -> Gains:
        """`marginal_gains`, by rows.

        Raises:
            InvalidSeeds: as `simulate_rows`, for candidates too.
        """
        sizes, _, _, gains = self._run(rows, candidates)
        return Gains.of(sizes, candidates, gains)

    def _run(
        self, rows: NDArray[np.int64], candidates: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        n = self.graph.num_nodes
        seeds = distinct_rows(self.graph, rows).astype(np.uint32)
        others = distinct_rows(self.graph, candidates, "candidates").astype(np.uint32)
        sizes = np.empty(self.runs, dtype=np.int64)
        key, step = np.uint64(self.seed % 2**64), max(1, _TOSSES // (self.graph.num_arcs + n + 1))

        def one(first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
            sums = np.zeros(n, np.int64), np.zeros((2, n + 1), np.int64), np.zeros((2, len(others)), np.int64)
            for begin in range(first, first + count, step):
                end = min(begin + step, first + count)
                simulate(self.arcs, seeds, others, key, np.uint64(begin), sizes[begin:end], *sums)
                go_on()
            return sums

        totals: list[NDArray[np.int64]] = []
        # A run takes longer the more candidates there are.
        chunk = max(1, _CHUNK // (1 + len(others)))
        for sums in in_chunks(one, self.runs, chunk=chunk, threads=self._threads, progress=self._progress):
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


_MODELS: dict[str, type[Diffusion]] = {model.name: model for model in (IndependentCascade, LinearThreshold)}


def diffusion(name: str, graph: SocialGraph, **arguments: Any) -> Diffusion:
    """The model of that name on a graph, with the arguments of `Diffusion`.

    Raises:
        ValueError: there is none, or fewer than one run or thread is asked for.
    """
    if name not in _MODELS:
        raise ValueError(f"`model` must be one of {', '.join(_MODELS)} (got {name!r})")
    return _MODELS[name](graph, **arguments)
