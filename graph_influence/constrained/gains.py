"""What loops over lists and sets have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graph_influence.rrsets.rows import Incidence
from unlearn.compiled import kernel


@kernel
def inviters_of(
    ptr: NDArray[np.int64], candidate: NDArray[np.int32], owner: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Lists that may take each row, where those of each row begin, and how many open candidates each list has."""
    n = len(owner)
    starts = np.zeros(n + 1, dtype=np.int64)
    for row in candidate:
        starts[row + 1] += 1
    for row in range(n):
        starts[row + 1] += starts[row]
    place_of = starts[:-1].copy()
    inviters = np.empty(len(candidate), dtype=np.int32)
    left = np.zeros(len(ptr) - 1, dtype=np.int64)
    for u in range(len(left)):
        for place in range(ptr[u], ptr[u + 1]):
            row = candidate[place]
            inviters[place_of[row]] = u
            place_of[row] += 1
            left[u] += owner[row] < 0
    return inviters, starts, left


@kernel
def cover(
    row: int,
    hit: NDArray[np.bool_],
    gain: NDArray[np.int32],
    incidence: Incidence,
) -> int:
    """Marks the sets of a row, takes them from the gains of their members, and returns how many were new."""
    set_start, set_length, members, node_start, node_length, sets = incidence
    new = 0
    for place in range(node_start[row], node_start[row] + node_length[row]):
        which = sets[place]
        if not hit[which]:
            hit[which] = True
            new += 1
            for inside in range(set_start[which], set_start[which] + set_length[which]):
                gain[members[inside]] -= 1
    return new
