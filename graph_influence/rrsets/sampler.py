"""Draw reverse-reachable sets: who could have activated a person drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import GOLDEN, mixed, stream, unit
from graph_influence.rrsets.exponential import exponential
from graph_influence.rrsets.in_arcs import InArcs
from unlearn.compiled import kernel
from unlearn.parallel import go_on, in_chunks

_MEMBER, _SENTINEL = np.uint8(1), np.uint8(2)  # marks of a node
_CHUNK = 16_384  # sets, at most, between which an interrupt is answered
_ROOM = 2**22  # members between which one is, but for one more set: about a second
_TOSSED = 0.1  # unequal arcs of at least this probability are tossed one by one


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Sets in the order asked for: `length` int32 [k], members in blocks one after the other, `covered` bool [k]."""

    length: NDArray[np.int32]
    members: list[NDArray[np.int32]]
    covered: NDArray[np.bool_]


def draw(
    arcs: InArcs,
    alive: NDArray[np.bool_],
    sentinel: NDArray[np.bool_],
    seed: int,
    numbers: NDArray[np.int64],
    size: float,
    threads: int | None,
) -> Drawn:
    """The sets of these numbers [k]: each depends on the seed, its number and the arcs into its members only.

    Args:
        alive: who may be a root, [n]; somebody must.
        sentinel: a set ends with the first of these that it meets, and is covered, [n].
        size: members of a set to expect; it decides how much room is taken, and nothing else.
    """
    length = np.empty(len(numbers), dtype=np.int32)
    covered = np.zeros(len(numbers), dtype=np.bool_)

    def chunk(first: int, count: int) -> list[NDArray[np.int32]]:
        done, end, blocks = first, first + count, list[NDArray[np.int32]]()
        mark = _SENTINEL * sentinel.astype(np.uint8)
        room = int(size * count)
        while done < end:
            members = np.empty(min(room, _ROOM) + len(alive), dtype=np.int32)
            done, used = _sample(
                arcs.model == "lt",
                np.uint64(seed),
                numbers,
                done,
                end,
                arcs.node,
                arcs.tail,
                arcs.weight,
                alive,
                mark,
                members,
                length,
                covered,
            )
            blocks.append(members[:used])
            room = 2 * len(members)  # sets are larger than they were taken for
            go_on()
        return blocks

    chunks = in_chunks(chunk, len(numbers), chunk=_CHUNK, least=_CHUNK // 2, threads=threads)
    return Drawn(length, [block for blocks in chunks for block in blocks], covered)


@kernel
def _sample(
    threshold: bool,
    seed: np.uint64,
    numbers: NDArray[np.int64],
    first: int,
    end: int,
    node: NDArray[np.void],
    tail: NDArray[np.int32],
    weight: NDArray[np.float64],
    alive: NDArray[np.bool_],
    mark: NDArray[np.uint8],
    members: NDArray[np.int32],
    length: NDArray[np.int32],
    covered: NDArray[np.bool_],
) -> tuple[int, int]:
    """Sets first to end - 1, or as many of them as surely fit; returns up to where, and how many members they have."""
    n, used = len(alive), 0
    starts: NDArray[np.int64] = node["start"]
    scales: NDArray[np.float64] = node["scale"]
    for k in range(first, end):
        if used + n > len(members):
            return k, used
        # The stream of node w starts w + 1 steps above the set's key, that of roots one below: none meets another.
        key = stream(seed, np.uint64(numbers[k]))
        state = key
        root = np.int64(unit(state) * n)
        while not alive[root]:
            state = mixed(state - GOLDEN)
            root = np.int64(unit(state) * n)
        begin, head = used, used
        members[used] = root
        used += 1
        met = mark[root] == _SENTINEL
        mark[root] |= _MEMBER
        while head < used and not met:
            member = np.int64(members[head])
            head += 1
            arc, last, scale = starts[member], starts[member + 1], scales[member]
            state = mixed(key + GOLDEN * np.uint64(member + 1))
            while arc < last:
                if threshold:
                    arc = _chosen(arc, last, unit(state), scale, weight)
                else:
                    arc, state = _live(arc, last, state, scale, weight)
                if arc == last:
                    break
                other = tail[arc]
                if other >= 0 and not mark[other] & _MEMBER:
                    members[used] = other
                    used += 1
                    met = mark[other] == _SENTINEL
                    mark[other] |= _MEMBER
                    if met:
                        break
                arc = last if threshold else arc + 1
        for place in range(begin, used):
            mark[members[place]] &= _SENTINEL
        length[k] = used - begin
        covered[k] = met
    return end, used


@kernel
def _live(
    arc: np.int64, last: np.int64, state: np.uint64, scale: np.float64, weight: NDArray[np.float64]
) -> tuple[np.int64, np.uint64]:
    """The first live arc from `arc` on, or `last`: each is live with its own probability.

    Of arcs of one probability the number of dead ones before the first live one is geometric, an exponential draw over
    -ln(1 - p) rounded down (Guo et al., "Influence maximization revisited: efficient reverse reachable set generation
    with bound tightened", SIGMOD 2020). Of unequal ones it is drawn for the largest probability q that is left, and
    the place where it ends is live with p / q.
    """
    if scale > 0.0:
        draw, state = exponential(state)
        dead = draw * scale
        return (arc + np.int64(dead) if dead < last - arc else last), mixed(state + GOLDEN)
    if scale == 0.0:
        return arc, state
    while arc < last:
        q = weight[arc]
        if q >= _TOSSED:
            live = unit(state) < q
        elif q > 0.0:
            draw, state = exponential(state)
            dead = -draw / np.log1p(-q)
            if not dead < last - arc:
                return last, state
            arc += np.int64(dead)
            state = mixed(state + GOLDEN)
            live = unit(state) * q < weight[arc]
        else:
            return last, state
        state = mixed(state + GOLDEN)
        if live:
            return arc, state
        arc += 1
    return last, state


@kernel
def _chosen(arc: np.int64, last: np.int64, point: float, scale: np.float64, weight: NDArray[np.float64]) -> np.int64:
    """The one arc whose place in [0, 1) holds the point, or `last`: linear threshold's only live arc, if any."""
    if scale > 0.0:
        place = point * scale
        return arc + np.int64(place) if place < last - arc else last
    while arc < last:
        middle = (arc + last) // 2
        if point < weight[middle]:
            last = middle
        else:
            arc = middle + 1
    return arc
