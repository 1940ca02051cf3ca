"""Which sets a deletion can change, and how their new draws replace the old ones in place, both ways.

Whether an arc is live is decided when its target is met, by coins of that target; so a set can change only where it
contains a node whose arcs have changed. Which, for somebody who leaves under frozen probabilities, are the sets that
contain that person; for a tie, those that contain both ends; and for probabilities that change, those that contain the
target. All other sets stay as they are, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from graph_influence.rrsets.rows import SPARE, Rows, copy, mark_held, roomier
from graph_influence.rrsets.sampler import Drawn
from unlearn.compiled import kernel
from unlearn.invalid import Problems


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """What a graph lost: people and arcs, by number; and the nodes of whose other arcs the probabilities changed."""

    nodes: NDArray[np.int64]
    arcs: NDArray[np.int64]
    reweighted: NDArray[np.int64]

    @classmethod
    def between(cls, before: SocialGraph, after: SocialGraph) -> Difference:
        """Raises: InvalidGraph when `after` is not `before` with fewer people or arcs, or other probabilities."""
        problems = Problems("this graph", InvalidGraph)
        same = before.num_nodes == after.num_nodes and all(
            a is b or np.array_equal(a, b) for a, b in ((before.in_ptr, after.in_ptr), (before.source, after.source))
        )
        if not same:
            problems.add("its nodes and arcs must be numbered as those of the store's graph; make a new store")
            problems.fail()
        if (after.nodes.alive > before.nodes.alive).any() or (after.alive > before.alive).any():
            problems.add("nobody and no arc may have come back since; make a new store")
            problems.fail()
        changed = np.flatnonzero(after.alive & (before.probability != after.probability))
        return cls(
            nodes=np.flatnonzero(before.nodes.alive > after.nodes.alive),
            arcs=np.flatnonzero(before.alive > after.alive),
            reweighted=np.unique(_targets(after, changed)),
        )

    def touched(self, graph: SocialGraph, sets: Rows, theta: int) -> NDArray[np.int64]:
        """Numbers of the sets that can differ, ascending, by the index of the `theta` old ones."""
        whole = np.concatenate([self.nodes, self.reweighted])
        heads, tails = _targets(graph, self.arcs), graph.source[self.arcs]
        only = ~(np.isin(heads, whole) | np.isin(tails, self.nodes))
        both = zip(heads[only].tolist(), tails[only].tolist(), strict=True)
        hit = np.zeros(theta, dtype=np.bool_)
        mark_held(sets.start, sets.length, sets.data, whole, hit)
        for head, tail in both:
            hit[np.intersect1d(sets[head], sets[tail], assume_unique=True)] = True
        return np.flatnonzero(hit)


def _targets(graph: SocialGraph, arcs: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(graph.in_ptr, arcs, side="right") - 1


def rewritten(members: Rows, sets: Rows, numbers: NDArray[np.int64], drawn: Drawn) -> tuple[Rows, Rows, int]:
    """Both ways with the sets `numbers` (ascending) as they were drawn now, and how many of them have changed.

    The arrays are written in place; where a row outgrows its room, it moves to the end.
    """
    data = np.concatenate([np.empty(0, dtype=np.int32), *drawn.members])
    head, following, change, changed = _changes(
        numbers, members.start, members.length, members.data, drawn.length, data, len(sets)
    )
    lists = _merge(head, following, change, sets.start, sets.length, sets.data, sets.used)
    blocks = _replace(numbers, drawn.length, data, members.start, members.length, members.data, members.used)
    now = Rows(members.start, members.length, *blocks)
    # When the array had to become larger it was copied as a whole, so to close its gaps costs little more.
    if now.data is not members.data and now.loose():
        now = now.packed()
    index = Rows(sets.start, sets.length, *lists)
    if index.data is not sets.data and index.loose(SPARE):
        index = now.inverted(len(sets))
    return now, index, changed


@kernel
def _changes(
    numbers: NDArray[np.int64],
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    new_length: NDArray[np.int32],
    new: NDArray[np.int32],
    n: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], int]:
    """Which sets each node enters (their number) and leaves (its complement): linked lists, ascending by set.

    Returns the first link of each node, the next link of each link, the change of each link, and how many sets differ.
    """
    most = np.int64(len(new))
    for number in numbers:
        most += length[number]
    head = np.full(n, -1, dtype=np.int32)
    following = np.empty(most, dtype=np.int32)
    change = np.empty(most, dtype=np.int32)
    old_stamp = np.full(n, -1, dtype=np.int32)
    new_stamp = np.full(n, -1, dtype=np.int32)
    links = changed = 0
    end = len(new)
    # Backwards: what is linked last comes first.
    for k in range(len(numbers) - 1, -1, -1):
        number = numbers[k]
        first, last = start[number], start[number] + length[number]
        begin = end - new_length[k]
        before = links
        for place in range(begin, end):
            new_stamp[new[place]] = k
        for place in range(first, last):
            node = data[place]
            old_stamp[node] = k
            if new_stamp[node] != k:
                change[links], following[links] = ~number, head[node]
                head[node] = links
                links += 1
        for place in range(begin, end):
            node = new[place]
            if old_stamp[node] != k:
                change[links], following[links] = number, head[node]
                head[node] = links
                links += 1
        changed += links > before
        end = begin
    return head, following, change, changed


@kernel
def _merge(
    head: NDArray[np.int32],
    following: NDArray[np.int32],
    change: NDArray[np.int32],
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    used: int,
) -> tuple[NDArray[np.int32], int]:
    """Takes sets out of the nodes' rows and puts others in; returns the data, perhaps in a new array, and its end."""
    entering = np.empty(len(change), dtype=np.int32)
    for node in range(len(head)):
        link = head[node]
        if link < 0:
            continue
        first, last = start[node], start[node] + length[node]
        # Take out: everything behind moves up. The rows ascend, and so do the changes.
        come = 0
        read = write = first
        while link >= 0:
            if change[link] >= 0:
                entering[come] = change[link]
                come += 1
            else:
                gone = ~change[link]
                if write == read:
                    read = write = first + np.searchsorted(data[first:last], gone)
                while data[read] != gone:
                    data[write] = data[read]
                    write += 1
                    read += 1
                read += 1
            link = following[link]
        if write != read:
            while read < last:
                data[write] = data[read]
                write += 1
                read += 1
            data[write:last] = -1
            last = write
        length[node] = last - first + come
        if not come:
            continue
        free = last
        while free < used and free < last + come and data[free] == -1:
            free += 1
        if free < last + come:
            room = length[node] + length[node] // 16 + SPARE
            data = roomier(data, used, room)
            copy(data[first:last], data[used:])
            data[used + last - first : used + room] = -1
            data[first:last] = -1
            last += used - first
            first = start[node] = used
            used += room
        # Put in, from the back.
        write = first + length[node] - 1
        read = last - 1
        for k in range(come - 1, -1, -1):
            while read >= first and data[read] > entering[k]:
                data[write] = data[read]
                write -= 1
                read -= 1
            data[write] = entering[k]
            write -= 1
    return data, used


@kernel
def _replace(
    numbers: NDArray[np.int64],
    new_length: NDArray[np.int32],
    new: NDArray[np.int32],
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    used: int,
) -> tuple[NDArray[np.int32], int]:
    """Writes the sets' new members; returns the data, perhaps in a larger array, and its end."""
    begin = 0
    for k in range(len(numbers)):
        number, size = numbers[k], new_length[k]
        first, last = start[number], start[number] + length[number]
        data[first:last] = -1
        while last < used and last < first + size and data[last] == -1:
            last += 1
        if last < first + size:
            data = roomier(data, used, size)
            first = start[number] = used
            used += size
        copy(new[begin : begin + size], data[first:])
        length[number] = size
        begin += size
    return data, used
