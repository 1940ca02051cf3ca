"""Marginal gains over common random worlds: the same live-arc graphs for every seed set that is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import coin, stream
from graph_influence.graph import SocialGraph
from graph_influence.rrsets.in_arcs import InArcs, Model
from graph_influence.rrsets.threads import in_threads, shares
from unlearn.compiled import kernel


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """Arc e is live in a world where `low[e] <= coin < high[e]`, the coin having the number `name[e]`.

    Independent cascade: from 0 to p, a coin for each arc. Linear threshold: one coin for all arcs into a node, in whose
    unit interval each has a place as wide as its weight.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    name: NDArray[np.int64]

    @classmethod
    def of(cls, graph: SocialGraph, model: Model) -> Live:
        if model == "ic":
            return cls(np.zeros(graph.num_arcs), graph.probability, np.arange(graph.num_arcs))
        ends = InArcs.of(graph, model).weight
        return cls(ends - graph.probability, ends, graph.target.astype(np.int64))


class Worlds:
    """`runs` live-arc graphs, and who is active in each of them.

    Gains are means of whole numbers over the same worlds, so they are exactly submodular, and they do not depend on
    what was evaluated before or by how many threads. `active` is bool [runs, n].
    """

    def __init__(self, graph: SocialGraph, model: Model, runs: int, seed: int) -> None:
        self.graph = graph
        self.live = Live.of(graph, model)
        self.keys = np.array([stream(np.uint64(seed), np.uint64(run)) for run in range(runs)])
        self.active = np.zeros((runs, graph.num_nodes), dtype=np.bool_)
        self.evaluated = 0

    def gains(self, rows: NDArray[Any], beyond: NDArray[np.bool_]) -> NDArray[np.float64]:
        """People that each row newly activates, and how many of them are not in `beyond` [runs, n] either; [rows, 2]."""
        self.evaluated += len(rows)
        counts = np.zeros((len(rows), 2), dtype=np.int64)
        parts = shares(len(rows) * len(self.keys))
        ends = np.linspace(0, len(rows), len(parts) + 1).astype(np.int64)
        in_threads(lambda k: self._reach(rows[ends[k] : ends[k + 1]], beyond, counts[ends[k] : ends[k + 1]]), len(parts))
        return counts / len(self.keys)

    def reached(self, row: int) -> NDArray[np.bool_]:
        """Whom the row newly activates in each world, [runs, n]."""
        marked = np.zeros_like(self.active)
        self._reach(np.array([row]), marked, np.zeros((1, 2), dtype=np.int64), mark=True)
        return marked

    def _reach(
        self, rows: NDArray[Any], beyond: NDArray[np.bool_], counts: NDArray[np.int64], mark: bool = False
    ) -> None:
        live, (out_ptr, out_arcs) = self.live, self.graph.out
        _reach(
            rows.astype(np.int64),
            self.keys,
            out_ptr,
            out_arcs,
            self.graph.target,
            live.low,
            live.high,
            live.name,
            self.active,
            beyond,
            mark,
            counts,
        )


@kernel
def _reach(
    rows: NDArray[np.int64],
    keys: NDArray[np.uint64],
    out_ptr: NDArray[np.int64],
    out_arcs: NDArray[np.int64],
    target: NDArray[np.int32],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    name: NDArray[np.int64],
    active: NDArray[np.bool_],
    beyond: NDArray[np.bool_],
    mark: bool,
    counts: NDArray[np.int64],
) -> None:
    """Adds up for each row, over all worlds, whom it reaches; with `mark`, also marks them in `beyond`."""
    n = len(out_ptr) - 1
    stamp = np.full(n, -1, dtype=np.int64)
    queue = np.empty(n, dtype=np.int64)
    for number in range(len(rows)):
        for world in range(len(keys)):
            if active[world, rows[number]]:
                continue
            now = number * len(keys) + world
            queue[0] = rows[number]
            stamp[rows[number]] = now
            head, used = 0, 1
            while head < used:
                node = queue[head]
                head += 1
                counts[number, 0] += 1
                counts[number, 1] += not beyond[world, node]
                if mark:
                    beyond[world, node] = True
                for place in range(out_ptr[node], out_ptr[node + 1]):
                    arc = out_arcs[place]
                    other = target[arc]
                    if stamp[other] == now or active[world, other]:
                        continue
                    tossed = coin(keys[world], np.uint64(name[arc]))
                    if low[arc] <= tossed < high[arc]:
                        stamp[other] = now
                        queue[used] = other
                        used += 1
