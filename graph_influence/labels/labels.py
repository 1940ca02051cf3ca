"""Labels of seed sets: in how many simulated cascades each node became active, redrawn as people and ties leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from graph_influence.diffusion import Model, diffusion
from graph_influence.graph import SocialGraph
from graph_influence.labels.replay import Deletion, replay
from graph_influence.seeds import distinct_rows
from unlearn.parallel import in_chunks
from unlearn.streams import bits

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Labels:
    """How often each node became active in `runs` cascades from each seed set, of independent coins for each set.

    A label is a function of the whole graph, so it changes when somebody leaves: `without` gives those of the graph
    that is left, bit for bit what `drawn` gives there, because a coin is named by set, run and arc. It runs again only
    the cascades that went through what is deleted, or all of a set where that is quicker.

    Shapes:
        sets: b arrays of rows [s], as they are left; numbers int64 [b]: which coins a set has, whatever leaves; counts
        int32 [b, n].
    """

    model: Model
    runs: int
    seed: int
    sets: tuple[Rows, ...]
    numbers: NDArray[np.int64]
    counts: NDArray[np.int32]

    @classmethod
    def drawn(
        cls, graph: SocialGraph, sets: Sequence[Rows], *, runs: int = 10_000, seed: int = 0, model: Model = "ic",
        numbers: NDArray[np.int64] | None = None, progress: bool = False,
    ) -> Labels:  # fmt: skip
        """Simulated from nothing; `numbers` by default count the sets.

        Raises:
            ValueError: fewer than one run.
            InvalidSeeds: a set has rows that are none of the graph, or one twice.
            InvalidGraph: under "lt", in-weights of somebody sum to more than 1.
        """
        rowed = tuple(distinct_rows(graph, rows, "sets") for rows in sets)
        numbers = np.arange(len(rowed), dtype=np.int64) if numbers is None else numbers
        counts = np.empty((len(rowed), graph.num_nodes), dtype=np.int32)
        bar = tqdm(_keys(seed, numbers).tolist(), desc="label", leave=False, disable=None if progress else True)
        for row, (key, rows) in enumerate(zip(bar, rowed, strict=True)):
            counts[row] = diffusion(model, graph, runs=runs, seed=key).simulate_rows(rows).activations
        return cls(model, runs, seed, rowed, numbers, counts)

    @property
    def probability(self) -> NDArray[np.float64]:
        """How probably each node becomes active, [b, n]."""
        return self.counts / self.runs

    @property
    def noise(self) -> NDArray[np.float64]:
        """The standard error of each, [b, n]: what no deletion that moves a label by less can be told from."""
        p = self.probability
        return np.sqrt(p * (1 - p) / self.runs)

    def holding(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which sets have a marked node [n], as a seed or as one that was ever reached, [b]."""
        seeds = np.array([marked[rows].any() for rows in self.sets], dtype=np.bool_)
        return seeds | self.counts[:, marked].any(axis=1)

    def without(self, before: SocialGraph, after: SocialGraph) -> Labels:
        """The labels on the graph `after`, given that these are those on `before`, of which it is the rest.

        Sets lose their members who left; one that nobody is left of is dropped.
        """
        deletion = Deletion.between(before, after, self.model)
        counts, keys = self.counts.copy(), _keys(self.seed, self.numbers)
        sets = [rows[after.nodes.alive[rows]] for rows in self.sets]
        degrees = before.out_degree()

        def some(first: int, count: int) -> None:
            for row in range(first, first + count):
                lost, tosses = np.zeros(counts.shape[1], dtype=np.int32), float(counts[row] @ degrees) / self.runs
                if replay(deletion, self.sets[row], keys[row], self.runs, tosses, lost) >= 0:
                    counts[row] -= lost
                elif len(sets[row]):
                    model = diffusion(self.model, after, runs=self.runs, seed=int(keys[row]), threads=1)
                    counts[row] = model.simulate_rows(sets[row]).activations

        list(in_chunks(some, len(self.sets), chunk=1))
        there = np.array([len(rows) > 0 for rows in sets], dtype=np.bool_)
        return replace(
            self,
            sets=tuple(rows for rows in sets if len(rows)),
            numbers=self.numbers[there],
            counts=counts[there],
        )


def _keys(seed: int, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The seed of each set's cascades, [b]."""
    return bits(seed, "labels", numbers) >> np.uint64(1)
