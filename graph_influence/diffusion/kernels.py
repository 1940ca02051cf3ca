"""The one compiled loop of forward simulation: breadth-first search over arcs that turn out live.

Live or not is 64 coins at a time as the bits of a word: the loop that tosses them has no branch and is vectorised, and
the loop over the bits that are set meets live arcs only. Numbers are unsigned, because numba guards signed indices
against counting from the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray

from graph_influence.coins import coin_steps, stream
from unlearn.compiled import kernel

# numba declares it by its implementation, which takes the compiler's context first.
_lowest_bit = cast("Callable[[np.uint64], np.uint64]", trailing_zeros)
_ONE = np.uint64(1)
_WORD = np.uint64(64)


class LiveArcs(NamedTuple):
    """Arcs by the node where a search meets them; one is live where its coin lies in [low, low + width).

    Shapes:
        ptr uint64 [n + 1]: where each node's arcs begin; to uint32 [m]: the nodes that they lead to; counter uint32
        [m]: of the coins; low, width uint64 [m].
    """

    ptr: NDArray[np.uint64]
    to: NDArray[np.uint32]
    counter: NDArray[np.uint32]
    low: NDArray[np.uint64]
    width: NDArray[np.uint64]


@kernel
def advance(
    arcs: LiveArcs,
    key: np.uint64,
    active: NDArray[np.int32] | NDArray[np.uint8],
    run: np.int32 | np.uint8,
    queue: NDArray[np.uint32],
    head: np.uint64,
    tail: np.uint64,
) -> np.uint64:
    """One step: what the nodes of `queue` from `head` on activate is appended to it; returns the new tail."""
    ptr, to, counter, low, width = arcs
    for place in range(head, tail):
        node = np.uint64(queue[place])
        first, end = ptr[node], ptr[node + _ONE]
        while first < end:
            stop = min(end, first + _WORD)
            live = np.uint64(0)
            for arc in range(first, stop):
                # Below the lower end of the share, the difference wraps around to a number above any width.
                hit = coin_steps(key, np.uint64(counter[arc])) - low[arc] < width[arc]
                live |= np.uint64(hit) << (arc - first)
            while live:
                reached = to[first + _lowest_bit(live)]
                live &= live - _ONE
                queue[tail] = reached  # overwritten by the next one unless it is new
                tail += np.uint64(active[reached] != run)
                active[reached] = run
            first = stop
    return tail


@kernel
def spread(
    arcs: LiveArcs,
    key: np.uint64,
    active: NDArray[np.int32] | NDArray[np.uint8],
    run: np.int32 | np.uint8,
    queue: NDArray[np.uint32],
    head: np.uint64,
    tail: np.uint64,
) -> np.uint64:
    """All steps: everybody whom the nodes of `queue` from `head` on reach is appended to it; returns the new tail."""
    while head < tail:
        head, tail = tail, advance(arcs, key, active, run, queue, head, tail)
    return tail


@kernel
def simulate(
    arcs: LiveArcs,
    seeds: NDArray[np.uint32],
    candidates: NDArray[np.uint32],
    seed: np.uint64,
    first: np.uint64,
    sizes: NDArray[np.int64],
    activations: NDArray[np.int64],
    growth: NDArray[np.int64],
    gains: NDArray[np.int64],
) -> None:
    """Cascades `first` onward, one for each of `sizes`.

    Writes `sizes` [runs], how many nodes end up active, and adds to `activations` [n], how often each node did; to
    `growth` [2, n + 1], how many became active in each step, and its square; to `gains` [2, c], by how many more there
    were with each candidate, and its square.
    """
    active = np.zeros(len(activations), dtype=np.int32)
    queue = np.empty(len(activations) + 1, dtype=np.uint32)
    for run in range(len(sizes)):
        key, mark = stream(seed, first + np.uint64(run)), np.int32(run + 1)
        tail = np.uint64(0)
        for node in seeds:
            queue[tail] = node
            active[node] = mark
            tail += _ONE
        head, step = np.uint64(0), 0
        while head < tail:
            new = np.int64(tail - head)
            growth[0, step] += new
            growth[1, step] += new * new
            step += 1
            end = tail
            tail = advance(arcs, key, active, mark, queue, head, tail)
            head = end
        sizes[run] = np.int64(tail)
        for place in range(tail):
            activations[queue[place]] += 1
        for number in range(len(candidates)):
            if active[candidates[number]] == mark:
                continue
            queue[tail] = candidates[number]
            active[candidates[number]] = mark
            end = spread(arcs, key, active, mark, queue, tail, tail + _ONE)
            gain = np.int64(end - tail)
            gains[0, number] += gain
            gains[1, number] += gain * gain
            for place in range(tail, end):
                active[queue[place]] = 0
