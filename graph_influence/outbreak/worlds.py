"""Live-arc graphs as far as a rumour gets in them, kept, so that every choice is weighed in the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import coin_steps, purpose, stream, unit
from graph_influence.diffusion import diffusion
from graph_influence.outbreak.dominators import add_drops, touching
from graph_influence.outbreak.fractional import add_slopes
from graph_influence.outbreak.outbreak import Outbreak
from unlearn.compiled import kernel
from unlearn.parallel import in_chunks

Number = TypeVar("Number", bound=np.integer)
Gone = tuple[NDArray[np.bool_], NDArray[np.bool_]]  # marks of arcs [m], and of nodes [n] and the seeds together

_CHUNK = 512  # worlds between which an interrupt is answered
_PILOT = 64  # other worlds that tell how large they are, unless fewer fill the room
_ROOM = 2**24  # arcs of all worlds together, about 200 MB
_ALL = 2**62


class Block(NamedTuple):
    """Some worlds, one behind the other; each numbers its nodes from 0, where its search began, as they were met.

    Shapes:
        nodes int64 [w + 1]: where the nodes of each world begin; node int32 [k]: row of each, n for the seeds; arcs
        int64 [k + 1]: where the arcs of each node begin; head int32 [l]: number of the node that an arc leads the
        search to; arc int32 [l]: its id.
    """

    nodes: NDArray[np.int64]
    node: NDArray[np.int32]
    arcs: NDArray[np.int64]
    head: NDArray[np.int32]
    arc: NDArray[np.int32]


class Worlds:
    """Sampled live-arc graphs: whom the seeds reach in each, or who reaches a node at random in each.

    All seeds are one node, of row n. *Forward* worlds begin with it and hold a cascade each. *Backward* ones begin with
    a node at random, of those that are there, go against live arcs, and end at the seeds: the share that gets there,
    times the number of nodes, estimates the spread. Coins are those of `diffusion`. There are as many worlds as asked
    for, or fewer where they would hold more than about 16 million arcs.
    """

    def __init__(self, outbreak: Outbreak, samples: int, seed: int, *, backward: bool = False) -> None:
        graph, n, key = outbreak.graph, outbreak.graph.num_nodes, np.uint64(seed % 2**64)
        search = _Search.of(outbreak, backward=backward)
        merged = np.where(outbreak.seeded, n, np.arange(n))
        starts = merged[graph.nodes.alive] if backward else np.array([n])
        # What a node counts: itself; or, of worlds that go back from it, whether they get to the seeds.
        weight = np.full(n + 1, not backward, dtype=np.int64)
        weight[n] = 1 if backward else len(outbreak.seeds)

        def drawn(first: int, count: int) -> Block:
            return Block(*_sample(search, starts, key, np.uint64(first), count, _ALL))

        self.outbreak = outbreak
        self.samples = min(samples, _affordable(search, starts, purpose(seed, "pilot"), min(samples, _PILOT)))
        self._blocks = list(in_chunks(drawn, self.samples, chunk=_CHUNK))
        self._scale = (graph.num_alive if backward else 1) / self.samples
        self._weight = weight
        self._tallies: list[_Tally] = []  # all worlds are counted by these together; as many as threads at most
        self._gone: Gone | None = None  # what was gone when they were

    def drops(self, chosen: Iterable[int]) -> tuple[float, NDArray[np.float64]]:
        """Without the chosen units: the spread in these worlds, and by how much each unit [k] would lower it further.

        That is exactly the difference between the worlds with and without the unit, for all units at once.
        """
        arcs, nodes = self.outbreak.gone(chosen)
        self._count((arcs, np.append(nodes, False)))
        by_arc = self.outbreak.unit == "arcs"
        drop = np.sum([one.by_arc if by_arc else one.by_node[:-1] for one in self._tallies], axis=0)
        return sum(one.in_reach for one in self._tallies) * self._scale, drop * self._scale

    def fractional(self, taken: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The spread in these worlds where of each unit the share `taken` [k] is taken, 0 to 1, and its slopes [k].

        It is convex in the shares, and where they are 0 and 1 it is the spread without those units. The slopes are a
        subgradient.
        """
        by_arc, graph = self.outbreak.unit == "arcs", self.outbreak.graph
        arcs, nodes = np.zeros(graph.num_arcs), np.zeros(graph.num_nodes + 1)
        (arcs if by_arc else nodes)[: len(taken)] = taken

        def some(first: int, _: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            hanging = np.zeros(len(arcs), dtype=np.int64), np.zeros(len(nodes), dtype=np.int64)
            reached = add_slopes(*self._blocks[first], arcs, nodes, self._weight, *hanging)
            return reached, hanging[0 if by_arc else 1][: len(taken)]

        reached, fall = list[NDArray[np.float64]](), np.zeros(len(taken))  # whole numbers
        for part, hanging in in_chunks(some, len(self._blocks), chunk=1):
            reached.append(part)
            fall += hanging
        # World by world: which of them share a block depends on the number of threads.
        return float(np.concatenate(reached).sum()) * self._scale, fall * -self._scale

    def _count(self, gone: Gone) -> None:
        """Makes the tallies those of the worlds without these arcs and nodes.

        They are whole numbers, so that worlds without anything that comes or goes can be left as they are.
        """
        before, self._gone = self._gone, None  # an interrupt leaves nothing to go on from
        asked = [] if before is None else self._touched(before, gone)
        if before is None or 2 * sum(int(one.sum()) for one in asked) >= self.samples:
            # It is quicker to count all worlds than to count most of them twice.
            before, asked = None, [np.ones(len(block.nodes) - 1, dtype=np.bool_) for block in self._blocks]
            self._tallies.clear()

        def some(first: int, _: int) -> None:
            try:
                tally = self._tallies.pop()
            except IndexError:  # others are at work on all there are
                tally = _Tally.of(self._weight, self.outbreak.graph.num_arcs)
            if before is not None:
                tally.add(self._blocks[first], before, self._weight, asked[first], -1)
            tally.add(self._blocks[first], gone, self._weight, asked[first], 1)
            self._tallies.append(tally)

        list(in_chunks(some, len(self._blocks), chunk=1))
        self._gone = gone

    def _touched(self, before: Gone, gone: Gone) -> list[NDArray[np.bool_]]:
        """Which worlds of each block hold anything that comes or goes."""
        changed = before[0] ^ gone[0], before[1] ^ gone[1]

        def some(first: int, _: int) -> NDArray[np.bool_]:
            block = self._blocks[first]
            return touching(block.nodes, block.node, block.arcs, block.arc, *changed)

        return list(in_chunks(some, len(self._blocks), chunk=1))


@dataclass(slots=True)
class _Tally:
    """What hangs on each arc [m] and each node [n + 1], and what is in reach at all, summed over worlds."""

    by_arc: NDArray[np.int64]
    by_node: NDArray[np.int64]
    in_reach: int = 0

    @classmethod
    def of(cls, weight: NDArray[np.int64], arcs: int) -> _Tally:
        """No world at all."""
        return cls(np.zeros(arcs, dtype=np.int64), np.zeros_like(weight))

    def add(self, block: Block, gone: Gone, weight: NDArray[np.int64], asked: NDArray[np.bool_], sign: int) -> None:
        """Add worlds of a block, or take them away."""
        self.in_reach += add_drops(*block, *gone, weight, asked, sign, self.by_arc, self.by_node)


class _Search(NamedTuple):
    """The arcs that a search meets, by the node where it stands, and when they are live.

    Shapes:
        ptr int64 [n + 2]: where each node's arcs begin, those of the seeds last; to int32 [l]: the nodes that they lead
        to; ids int32 [l]; counter uint32, low and width uint64 [l]: as `Diffusion` has them.
    """

    ptr: NDArray[np.int64]
    to: NDArray[np.int32]
    ids: NDArray[np.int32]
    counter: NDArray[np.uint32]
    low: NDArray[np.uint64]
    width: NDArray[np.uint64]

    @classmethod
    def of(cls, outbreak: Outbreak, *, backward: bool) -> _Search:
        """All seeds are node n; arcs that lead to a seed have no part in any cascade."""
        graph, seeded, n = outbreak.graph, outbreak.seeded, outbreak.graph.num_nodes
        leaving = graph.out[1]
        # By place in the forward adjacency, in which arcs are ordered by their sources.
        tails, heads = (np.where(seeded[ends], n, ends)[leaving] for ends in (graph.source, graph.target))
        places = np.flatnonzero(heads < n)
        here, there = (heads, tails) if backward else (tails, heads)
        places = places[np.argsort(here[places], kind="stable")]
        ptr = np.zeros(n + 2, dtype=np.int64)
        np.cumsum(np.bincount(here[places], minlength=n + 1), out=ptr[1:])
        _, _, counter, low, width = diffusion(outbreak.model, graph).arcs
        to, ids = there[places].astype(np.int32), leaving[places].astype(np.int32)
        return cls(ptr, to, ids, counter[places], low[places], width[places])


def _affordable(search: _Search, starts: NDArray[np.int64], seed: int, pilot: int) -> int:
    """How many worlds fill the room, and at least one, by as many `pilot` ones or those that fill it already.

    They are none of the sample: one that its own sizes had ended would hold too many of the large ones.
    """
    nodes, _, _, _, arc = _sample(search, starts, np.uint64(seed), np.uint64(0), pilot, _ROOM)
    return max(1, _ROOM * (len(nodes) - 1) // max(1, len(arc)))


@kernel
def _sample(
    search: _Search, starts: NDArray[np.int64], seed: np.uint64, first: np.uint64, count: int, room: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """The block of worlds `first` to `first` + `count` - 1, or to the one that fills the room for arcs."""
    ptr, to, ids, counter, low, width = search
    most = len(ptr) - 1
    number, met_in = np.empty(most, dtype=np.int32), np.full(most, -1, dtype=np.int64)
    nodes, arcs = np.zeros(count + 1, dtype=np.int64), np.zeros(most + 1, dtype=np.int64)
    node, head, arc = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    used = last = 0
    for world in range(count):
        key = stream(seed, first + np.uint64(world))
        node, arcs = _with_room(node, used, most), _with_room(arcs, used + 1, most)
        begin = at = used
        # Coins are hashed from numbers above the key, which is free to say where to begin.
        start = starts[np.int64(unit(key) * len(starts))]
        node[used], number[start], met_in[start] = start, 0, world
        used += 1
        while at < used:
            entries = range(ptr[node[at]], ptr[node[at] + 1])
            head, arc = _with_room(head, last, len(entries)), _with_room(arc, last, len(entries))
            for entry in entries:
                # Below the lower bound, the difference wraps around to a number above any width.
                if coin_steps(key, np.uint64(counter[entry])) - low[entry] < width[entry]:
                    other = to[entry]
                    if met_in[other] != world:
                        node[used], number[other], met_in[other] = other, used - begin, world
                        used += 1
                    head[last], arc[last] = number[other], ids[entry]
                    last += 1
            at += 1
            arcs[at] = last
        nodes[world + 1] = used
        if last >= room:
            nodes = nodes[: world + 2].copy()
            break
    return nodes, node[:used].copy(), arcs[: used + 1].copy(), head[:last].copy(), arc[:last].copy()


@kernel
def _with_room(values: NDArray[Number], used: int, more: int) -> NDArray[Number]:
    """The array, or a longer one with the same first `used` entries, that has room for `more`."""
    if used + more <= len(values):
        return values
    longer = np.empty(2 * (used + more), dtype=values.dtype)
    longer[:used] = values[:used]
    return longer
