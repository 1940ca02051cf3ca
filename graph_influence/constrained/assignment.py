"""Greedy assignment of candidates to lists of bounded length, on reverse-reachable sets of the passive graph."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graph_influence.constrained.completion import complete
from graph_influence.constrained.gains import cover, inviters_of
from graph_influence.constrained.participants import Participants
from graph_influence.rrsets import RRSets
from graph_influence.rrsets.rows import Incidence
from unlearn.compiled import kernel

Order = Literal["rr", "mg"]
NOBODY = np.int32(-1)


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Rows invited by each active participant [d, capacity], NOBODY where a list is shorter; what they cover of the
    sets that they were chosen on, and what no feasible lists can exceed there.
    """

    lists: NDArray[np.int32]
    covered: int
    above: int

    @property
    def rows(self) -> NDArray[np.int32]:
        """Everybody invited, each once."""
        return self.lists[self.lists != NOBODY]


def assign(
    sets: RRSets, participants: Participants, order: Order = "rr", given: NDArray[np.int32] | None = None
) -> Assignment:
    """Fill the lists greedily, so that the invited cover many sets.

    Zhang et al., "Capacity constrained influence maximization in social networks" (KDD 2023). "rr", round robin: in
    each of `capacity` rounds every list with room takes its best candidate, lists of few candidates first; covers at
    least 1 / (1 + curvature) >= 1/2 of the best. "mg": again and again the best candidate of all goes to a list with
    room, of several to the one with the fewest candidates left; at least 1/2. Nobody is in two lists. Where nothing is
    left to gain, the candidate of the highest out-degree is taken.

    above = min(2 covered, min over S of [covered(S) + min(B(S), C(S))]), S the invited before each round and at the
    end, those that were given taken as rounds. B sums for each list its `capacity` largest gains given S; C the largest
    gains of as many different candidates as the lists can hold at all (`Participants.most`). Both are at least what the
    best lists add to S.

    Args:
        given: lists [d, capacity] to go on from, whose entries stay where they are. The bound 2 covered, which is of a
            whole greedy, is left out then.

    Differences from the paper:
        - C, which is the smaller where many candidates are shared; the rules for ties.
        - Where a list has room and all its candidates are in others, they are handed on (`complete`), so that as many
          people are invited as lists can hold at all.
    """
    d, k = len(participants.active), participants.capacity
    lists = np.full((d, k), NOBODY) if given is None else given.copy()
    people = np.unique(participants.candidate)
    rank = np.empty(participants.graph.num_nodes, dtype=np.int32)
    rank[np.argsort(-participants.passive.out_degree(), kind="stable")] = np.arange(len(rank))
    covered, above = _assign(
        order == "rr",
        given is None,
        sets.incidence(),
        participants.ptr,
        participants.candidate,
        np.argsort(np.diff(participants.ptr), kind="stable"),
        people,
        participants.most,
        rank,
        lists,
    )
    return Assignment(lists, covered, above if given is not None else min(above, 2 * covered))


@kernel
def _assign(
    in_rounds: bool,
    whole: bool,
    incidence: Incidence,
    ptr: NDArray[np.int64],
    candidate: NDArray[np.int32],
    turn: NDArray[np.int64],
    people: NDArray[np.int32],
    most: int,
    rank: NDArray[np.int32],
    lists: NDArray[np.int32],
) -> tuple[int, int]:
    """Fills the ends of lists [d, k] that are NOBODY; returns what is covered, and above without its first part."""
    d, k = lists.shape
    gain = incidence.node_length.copy()
    hit = np.zeros(len(incidence.set_start), dtype=np.bool_)
    owner = np.full(len(rank), NOBODY)  # the list that a row is in
    length = np.zeros(d, dtype=np.int64)
    covered = 0
    above = _bound(gain, ptr, candidate, people, k, most)
    for place in range(k):
        for u in range(d):
            row = lists[u, place]
            if row != NOBODY:
                owner[row] = u
                length[u] += 1
                covered += cover(row, hit, gain, incidence)
        above = min(above, covered + _bound(gain, ptr, candidate, people, k, most))
    inviters, inviter_ptr, left = inviters_of(ptr, candidate, owner)
    heap = [(-int(gain[row]), int(rank[row]), int(row)) for row in people if owner[row] < 0]
    heapq.heapify(heap)
    picks = 1
    while picks > 0:
        picks = 0
        for number in turn:
            if in_rounds:
                u, row = number, _best(number, length, k, ptr, candidate, owner, gain, rank)
            else:
                u, row = _next(heap, length, k, inviters, inviter_ptr, left, gain)
            if row < 0:
                continue
            picks += 1
            lists[u, length[u]], owner[row] = row, u
            length[u] += 1
            for place in range(inviter_ptr[row], inviter_ptr[row + 1]):
                left[inviters[place]] -= 1
            covered += cover(row, hit, gain, incidence)
        if picks > 0:
            above = min(above, covered + _bound(gain, ptr, candidate, people, k, most))
    if whole:
        for row in complete(lists, length, ptr, candidate, owner, gain):
            covered += cover(row, hit, gain, incidence)
        above = min(above, covered + _bound(gain, ptr, candidate, people, k, most))
    return covered, above


@kernel
def _best(
    u: int,
    length: NDArray[np.int64],
    k: int,
    ptr: NDArray[np.int64],
    candidate: NDArray[np.int32],
    owner: NDArray[np.int32],
    gain: NDArray[np.int32],
    rank: NDArray[np.int32],
) -> int:
    """The best candidate of one list that nobody has invited; -1 where it is full or there is none."""
    best = -1
    if length[u] == k:
        return best
    for place in range(ptr[u], ptr[u + 1]):
        row = candidate[place]
        if owner[row] >= 0:
            continue
        if best < 0 or gain[row] > gain[best] or (gain[row] == gain[best] and rank[row] < rank[best]):
            best = row
    return best


@kernel
def _next(
    heap: list[tuple[int, int, int]],
    length: NDArray[np.int64],
    k: int,
    inviters: NDArray[np.int32],
    inviter_ptr: NDArray[np.int64],
    left: NDArray[np.int64],
    gain: NDArray[np.int32],
) -> tuple[int, int]:
    """The best candidate of all and the list that takes it; -1, -1 where no list with room has one."""
    while len(heap) > 0:
        stale, place, row = heapq.heappop(heap)
        if -stale != gain[row]:
            heapq.heappush(heap, (-int(gain[row]), place, row))
            continue
        chosen = -1
        for at in range(inviter_ptr[row], inviter_ptr[row + 1]):
            u = inviters[at]
            if length[u] < k and (chosen < 0 or left[u] < left[chosen]):
                chosen = u
        if chosen >= 0:  # else all lists that could take it are full, and stay so
            return chosen, row
    return -1, -1


@kernel
def _bound(
    gain: NDArray[np.int32],
    ptr: NDArray[np.int64],
    candidate: NDArray[np.int32],
    people: NDArray[np.int32],
    k: int,
    most: int,
) -> int:
    """What feasible lists can add to whoever is invited: the smaller of two sums of largest gains."""
    lists = 0
    for u in range(len(ptr) - 1):
        lists += _largest(gain[candidate[ptr[u] : ptr[u + 1]]], k)
    return min(lists, _largest(gain[people], most))


@kernel
def _largest(values: NDArray[np.int32], count: int) -> int:
    """Sum of the largest `count` values."""
    if count < len(values):
        values = np.partition(values, len(values) - count)[len(values) - count :]
    return values.sum()
