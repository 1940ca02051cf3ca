"""Scores of inviters and friends on reverse-reachable sets: how often both can reach the same person."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from graph_influence.constrained.gains import cover, inviters_of
from graph_influence.rrsets import RRSets
from graph_influence.rrsets.rows import Incidence
from unlearn.compiled import kernel


def pair_scores(
    sets: RRSets, inviters: NDArray[np.int64], ptr: NDArray[np.int64], friend: NDArray[np.int32]
) -> NDArray[np.float64]:
    """The scores of `HeteroIM` for each inviter u and each of `friend[ptr[u] : ptr[u + 1]]`, [c]."""
    return _pair_scores(
        sets.incidence(),
        inviters,
        ptr,
        friend,
    )


@kernel
def _pair_scores(
    incidence: Incidence,
    active: NDArray[np.int64],
    ptr: NDArray[np.int64],
    friend: NDArray[np.int32],
) -> NDArray[np.float64]:
    set_start, set_length, members, node_start, node_length, sets = incidence
    n = len(node_start)
    number = np.full(n, -1, dtype=np.int32)
    for u in range(len(active)):
        number[active[u]] = u
    # Where each person's inviters keep their score.
    order = np.argsort(friend, kind="mergesort")
    inviters, starts, _ = inviters_of(ptr, friend, number)
    gain, hit = node_length.copy(), np.zeros(len(set_start), dtype=np.bool_)
    common = np.zeros(len(active), dtype=np.int64)
    score = np.zeros(len(friend), dtype=np.float64)
    most = max(1, gain[friend].max()) if len(friend) > 0 else 1
    heap = [(-int(gain[row]), int(row)) for row in np.unique(friend)]
    heapq.heapify(heap)
    while len(heap) > 0:
        stale, row = heapq.heappop(heap)
        if -stale != gain[row]:
            heapq.heappush(heap, (-int(gain[row]), row))
            continue
        common[:] = 0
        for place in range(node_start[row], node_start[row] + node_length[row]):
            which = sets[place]
            if not hit[which]:
                for inside in range(set_start[which], set_start[which] + set_length[which]):
                    if number[members[inside]] >= 0:
                        common[number[members[inside]]] += 1
        for place in range(starts[row], starts[row + 1]):
            shared = common[inviters[place]]
            score[order[place]] = 1 + shared if shared > 0 else gain[row] / most
        cover(row, hit, gain, incidence)
    return score
