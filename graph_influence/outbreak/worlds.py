"""Live-arc graphs as far as a rumour gets in them, kept, so that every choice is weighed in the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import coin_steps, stream, unit
from graph_influence.diffusion import diffusion
from graph_influence.outbreak.dominators import add_drops, touching
from graph_influence.outbreak.outbreak import Outbreak
from unlearn.compiled import kernel
from unlearn.parallel import in_chunks

Number = TypeVar("Number", bound=np.integer)

_CHUNK = 512  # worlds between which an interrupt is answered
_PILOT = 64  # worlds that tell how large they are
_ROOM = 2**24  # arcs of all worlds together, about 200 MB


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
    for, or fewer where they would hold more than 16 million arcs.
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
            return Block(*_sample(search, starts, key, np.uint64(first), count))

        def some(first: int, count: int) -> _Tally:
            return _Tally(drawn(first, count), weight, graph.num_arcs)

        self.outbreak = outbreak
        self.samples = min(samples, _ROOM * _PILOT // max(1, len(drawn(0, _PILOT).arc)))
        self._tallies = list(in_chunks(some, self.samples, chunk=_CHUNK))
        self._scale = (graph.num_alive if backward else 1) / self.samples

    def drops(self, chosen: Iterable[int]) -> tuple[float, NDArray[np.float64]]:
        """Without the chosen units: the spread in these worlds, and by how much each unit [k] would lower it further.

        That is exactly the difference between the worlds with and without the unit, for all units at once.
        """
        gone = self.outbreak.gone(chosen)

        def some(first: int, count: int) -> None:
            for tally in self._tallies[first : first + count]:
                tally.update(*gone)

        list(in_chunks(some, len(self._tallies), chunk=1))
        by_arc = self.outbreak.unit == "arcs"
        drop = np.sum([one.by_arc if by_arc else one.by_node[:-1] for one in self._tallies], axis=0)
        return sum(one.in_reach for one in self._tallies) * self._scale, drop * self._scale


class _Tally:
    """What hangs on each arc and each node, summed over the worlds of a block, without what is gone at the moment.

    Whole numbers, so that worlds without anything that comes or goes can be left as they are.
    """

    def __init__(self, block: Block, weight: NDArray[np.int64], arcs: int) -> None:
        self.in_reach = 0
        self.by_arc = np.zeros(arcs, dtype=np.int64)
        self.by_node = np.zeros(len(weight), dtype=np.int64)
        self._block = block
        self._weight = weight
        self._gone = np.zeros(arcs, dtype=np.bool_), np.zeros(len(weight), dtype=np.bool_)
        self._all = np.ones(len(block.nodes) - 1, dtype=np.bool_)
        self._add(self._all, 1)

    def update(self, gone_arcs: NDArray[np.bool_], gone_nodes: NDArray[np.bool_]) -> None:
        """From now on these arcs [m] and nodes [n] are gone."""
        gone = gone_arcs, np.append(gone_nodes, False)
        nodes, node, arcs, _, arc = self._block
        touched = touching(nodes, node, arcs, arc, self._gone[0] ^ gone[0], self._gone[1] ^ gone[1])
        if 2 * touched.sum() < len(touched):
            self._add(touched, -1)
        else:  # it is quicker to count all worlds than to count most of them twice
            touched, self.in_reach, self.by_arc[:], self.by_node[:] = self._all, 0, 0, 0
        self._gone = gone
        self._add(touched, 1)

    def _add(self, asked: NDArray[np.bool_], sign: int) -> None:
        self.in_reach += add_drops(*self._block, *self._gone, self._weight, asked, sign, self.by_arc, self.by_node)


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


@kernel
def _sample(
    search: _Search, starts: NDArray[np.int64], seed: np.uint64, first: np.uint64, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """The block of worlds `first` to `first` + `count` - 1."""
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
    return nodes, node[:used].copy(), arcs[: used + 1].copy(), head[:last].copy(), arc[:last].copy()


@kernel
def _with_room(values: NDArray[Number], used: int, more: int) -> NDArray[Number]:
    """The array, or a longer one with the same first `used` entries, that has room for `more`."""
    if used + more <= len(values):
        return values
    longer = np.empty(2 * (used + more), dtype=values.dtype)
    longer[:used] = values[:used]
    return longer
