"""The runs that a deletion can change, run once more: which they are, and who is no longer reached in them.

Whether an arc is live in a run depends on the names of both alone, so a cascade changes only where it went through
what is deleted. Whether it did is asked backwards, from what is deleted against live arcs to the seeds, which meets few
nodes; nothing that was reached has to be kept for it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import coin_steps, stream
from graph_influence.diffusion import diffusion
from graph_influence.diffusion.kernels import LiveArcs, advance, spread
from graph_influence.graph import SocialGraph
from unlearn.compiled import kernel

_PILOT = 64  # runs that tell how far back a search goes


class Deletion(NamedTuple):
    """A graph as it was, against its arcs and along them, as it is left, and what of it is deleted.

    Shapes:
        nodes int64 [j]: deleted ones; is_deleted bool [n]; loose int64 [k]: deleted arcs between nodes that stay; cut
        int64 [l]: those, and the arcs from nodes that stay to deleted ones; both by id, as `backward` has them; source,
        target int32 [m]: their ends.
    """

    backward: LiveArcs
    forward: LiveArcs
    remaining: LiveArcs
    nodes: NDArray[np.int64]
    is_deleted: NDArray[np.bool_]
    loose: NDArray[np.int64]
    cut: NDArray[np.int64]
    source: NDArray[np.int32]
    target: NDArray[np.int32]

    @classmethod
    def between(cls, before: SocialGraph, after: SocialGraph, model: str) -> Deletion:
        """What `after` lacks of the graph `before`, of which it is the rest."""
        forward, remaining = (diffusion(model, graph).arcs for graph in (before, after))
        leaving = before.out[1]
        counter, low, width = (_by_id(values, leaving) for values in forward[2:])
        backward = LiveArcs(before.in_ptr.astype(np.uint64), before.source.astype(np.uint32), counter, low, width)
        deleted = before.nodes.alive & ~after.nodes.alive
        cut = np.flatnonzero(before.alive & ~after.alive & ~deleted[before.source])
        loose = cut[~deleted[before.target[cut]]]
        return cls(
            backward, forward, remaining, np.flatnonzero(deleted), deleted, loose, cut, before.source, before.target
        )


def _by_id(values: NDArray[Any], leaving: NDArray[np.int64]) -> NDArray[Any]:
    placed = np.empty_like(values)
    placed[leaving] = values
    return placed


@kernel
def replay(
    deletion: Deletion, seeds: NDArray[np.int64], seed: np.uint64, runs: int, tosses: float, lost: NDArray[np.int32]
) -> int:
    """Adds to `lost` [n] in how many of the `runs` each node is reached no longer; returns how many went through.

    `seeds` [s] are the rows of those who stand at the start, deleted ones included, and `tosses` the coins that a run
    forwards takes. Gives up with -1 after 64 runs where to draw all runs anew will be quicker.
    """
    n = len(deletion.is_deleted)
    is_seed, met, queue = np.zeros(n, np.bool_), np.zeros(n, np.int32), np.empty(n + 1, np.uint32)
    is_seed[seeds] = True
    touched = backwards = 0
    for run in range(runs):
        if run == _PILOT and backwards > (_PILOT - touched) * tosses:
            return -1
        key = stream(seed, np.uint64(run))
        through, tail = _went_through(deletion, is_seed, key, met, np.int32(2 * run + 1), queue)
        if run < _PILOT:
            for node in queue[:tail]:
                backwards += np.int64(deletion.backward.ptr[node + 1] - deletion.backward.ptr[node])
        if not through:
            continue
        touched += 1
        first, end = _cascade(deletion, seeds, key, met, np.int32(2 * run + 2), queue)
        for place in range(first, end):
            lost[queue[place]] += 1
    return touched


@kernel
def _went_through(
    deletion: Deletion,
    is_seed: NDArray[np.bool_],
    key: np.uint64,
    met: NDArray[np.int32],
    mark: np.int32,
    queue: NDArray[np.uint32],
) -> tuple[bool, np.int64]:
    """Whether the seeds reach a deleted node, or a deleted arc that is live; and how many nodes were met to know."""
    tail = np.uint64(0)
    for node in deletion.nodes:
        tail = _meet(node, met, mark, queue, tail)
    for arc in deletion.loose:
        if _live(deletion.backward, key, arc):
            tail = _meet(np.int64(deletion.source[arc]), met, mark, queue, tail)
    head = np.uint64(0)
    while head < tail:
        for place in range(head, tail):
            if is_seed[queue[place]]:
                return True, np.int64(tail)
        end = tail
        tail = advance(deletion.backward, key, met, mark, queue, head, end)
        head = end
    return False, np.int64(tail)


@kernel
def _cascade(
    deletion: Deletion,
    seeds: NDArray[np.int64],
    key: np.uint64,
    met: NDArray[np.int32],
    mark: np.int32,
    queue: NDArray[np.uint32],
) -> tuple[np.uint64, np.uint64]:
    """Fills `queue` with whom the seeds reach on what is left, then with whom they reached besides: where those lie."""
    tail = np.uint64(0)
    for node in seeds:
        if not deletion.is_deleted[node]:
            tail = _meet(node, met, mark, queue, tail)
    first = tail = spread(deletion.remaining, key, met, mark, queue, np.uint64(0), tail)
    for node in seeds:
        tail = _meet(node, met, mark, queue, tail)
    for arc in deletion.cut:
        if met[deletion.source[arc]] == mark and _live(deletion.backward, key, arc):
            tail = _meet(np.int64(deletion.target[arc]), met, mark, queue, tail)
    return first, spread(deletion.forward, key, met, mark, queue, first, tail)


@kernel
def _meet(
    node: np.integer, met: NDArray[np.int32], mark: np.int32, queue: NDArray[np.uint32], tail: np.uint64
) -> np.uint64:
    if met[node] == mark:
        return tail
    queue[tail], met[node] = node, mark
    return tail + np.uint64(1)


@kernel
def _live(arcs: LiveArcs, key: np.uint64, arc: int) -> bool:
    # Below the lower bound, the difference wraps around to a number above any width.
    return coin_steps(key, np.uint64(arcs.counter[arc])) - arcs.low[arc] < arcs.width[arc]
