"""Greedy maximum coverage of reverse-reachable sets, exact, with an upper bound on what any choice covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph_influence.rrsets import RRSets
from graph_influence.rrsets.rows import Incidence
from unlearn.compiled import kernel


@dataclass(frozen=True, slots=True, eq=False)
class Greedy:
    """Rows picked in order [k], the sets that each prefix covers [k + 1], and what no k rows can exceed."""

    rows: NDArray[np.int32]
    prefix: NDArray[np.int64]
    above: int

    @property
    def covered(self) -> int:
        return int(self.prefix[-1])


def greedy(
    sets: RRSets,
    k: int,
    allowed: NDArray[np.int32],
    first: NDArray[np.int32] | None = None,
    *,
    tolerance: float = 0.0,
) -> Greedy:
    """The k rows that greedily cover most sets: each has the largest gain given those before it.

    above = min over t of [covered(S_t) + sum of the k largest gains given S_t], S_t the first t picks: by
    submodularity no k rows cover more (Tang et al. 2018, section 5). Sets that are cut at sentinels are covered by them
    from the beginning, so that nobody's gains in them, which are not known, are asked for.

    Gains are kept exactly: a set that becomes covered takes one from each of its members, so all rounds together read
    every set once. Rows are kept in order of their gains, in which taking one from a gain is one swap and changes the
    sum of the k largest by at most one.

    Args:
        allowed: rows that may be picked, at least k; of equal gains the earlier row here is picked. When nothing is
            left to gain, the picks go on in this order, so there are always k of them.
        first: rows that come first, whatever their gain; where the sets are cut at sentinels, these.
        tolerance: gains count as equal to the largest one, g, from g - tolerance sqrt(g) on: with 1, those from which a
            sample as small as this cannot tell it.
    """
    rows = np.empty(k, dtype=np.int32)
    covered = np.zeros(k + 1, dtype=np.int64)
    largest = np.zeros(k + 1, dtype=np.int64)
    given = np.empty(0, dtype=np.int32) if first is None else first
    _greedy(
        sets.incidence(),
        sets.covered.copy(),
        allowed,
        given,
        tolerance,
        rows,
        covered,
        largest,
    )
    return Greedy(rows, covered, int((covered + largest).min()))


@kernel
def _greedy(
    incidence: Incidence,
    hit: NDArray[np.bool_],
    allowed: NDArray[np.int32],
    first: NDArray[np.int32],
    tolerance: float,
    rows: NDArray[np.int32],
    covered: NDArray[np.int64],
    largest: NDArray[np.int64],
) -> None:
    """Fills rows [k], covered [k + 1] and the sums of the k largest gains [k + 1]; hit becomes the covered sets."""
    set_start, set_length, members, node_start, node_length, sets = incidence
    n, k = len(node_start), len(rows)
    gain = node_length.copy()
    for number in range(len(hit)):
        if hit[number]:
            covered[0] += 1
            for place in range(set_start[number], set_start[number] + set_length[number]):
                gain[members[place]] -= 1
    # order: allowed rows by descending gain, those of one gain as they came; ends[g]: how many gain at least g.
    top = 0
    for row in allowed:
        top = max(top, gain[row])
    ends = np.zeros(top + 2, dtype=np.int32)
    for row in allowed:
        ends[gain[row]] += 1
    for g in range(top - 1, -1, -1):
        ends[g] += ends[g + 1]
    place_of = np.full(n, -1, dtype=np.int32)
    order = np.empty(len(allowed), dtype=np.int32)
    filled = ends[1:].copy()  # a gain's rows begin where those of the next larger gain end
    rank = np.empty(n, dtype=np.int32)
    for number, row in enumerate(allowed):
        rank[row] = number
        place_of[row] = filled[gain[row]]
        order[place_of[row]] = row
        filled[gain[row]] += 1
    total = 0
    for place in range(min(k, len(order))):
        total += gain[order[place]]
    largest[0] = total
    picked = np.zeros(n, dtype=np.bool_)
    unused = 0
    for number in range(k):
        if number < len(first):
            row = first[number]
        elif ends[1] > 0:  # somebody has something to gain
            g = gain[order[0]]
            row = order[0]
            for place in range(1, ends[int(np.ceil(g - tolerance * np.sqrt(g)))]):
                other = order[place]
                if rank[other] < rank[row] and not picked[other]:
                    row = other
        else:
            while picked[allowed[unused]]:
                unused += 1
            row = allowed[unused]
        picked[row] = True
        rows[number] = row
        covered[number + 1] = covered[number]
        for place in range(node_start[row], node_start[row] + node_length[row]):
            which = sets[place]
            if hit[which]:
                continue
            hit[which] = True
            covered[number + 1] += 1
            for inside in range(set_start[which], set_start[which] + set_length[which]):
                member = members[inside]
                at = place_of[member]
                if at < 0:
                    continue
                # To the end of its gain's rows, where the next smaller gain begins.
                g = gain[member]
                end = ends[g] - 1
                other = order[end]
                order[at], order[end] = other, member
                place_of[other], place_of[member] = at, end
                ends[g] = end
                gain[member] = g - 1
                if end < k:
                    total -= 1
        largest[number + 1] = total
