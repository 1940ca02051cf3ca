"""Live-arc graphs as far as a rumour gets in them, kept, so that every choice is weighed in the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph_influence.arcs import spans
from graph_influence.coins import coin_steps, stream, unit
from graph_influence.diffusion import diffusion
from graph_influence.minimize.dominators import add_drops
from graph_influence.minimize.outbreak import Outbreak
from graph_influence.parallel import in_chunks
from unlearn.compiled import kernel

_CHUNK = 512  # worlds between which an interrupt is answered


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
    times the number of nodes, estimates the spread. Coins are those of `diffusion`.
    """

    def __init__(self, outbreak: Outbreak, samples: int, seed: int, *, backward: bool = False) -> None:
        graph, n, key = outbreak.graph, outbreak.graph.num_nodes, np.uint64(seed % 2**64)
        search = _search(outbreak, backward)
        merged = np.where(outbreak.seeded, n, np.arange(n))
        starts = merged[graph.nodes.alive] if backward else np.array([n])

        def some(first: int, count: int) -> Block:
            return Block(*_sample(*search, starts, key, np.uint64(first), count))

        self.outbreak = outbreak
        self._blocks = list(in_chunks(some, samples, chunk=_CHUNK))
        # What a node counts: itself; or, of worlds that go back from it, whether they get to the seeds.
        self._weight = np.full(n + 1, not backward, dtype=np.int64)
        self._weight[n] = 1 if backward else len(outbreak.seeds)
        self._scale = (graph.num_alive if backward else 1) / samples

    def drops(self, chosen: Iterable[int]) -> tuple[float, NDArray[np.float64]]:
        """Without the chosen units: the spread in these worlds, and by how much each unit [k] would lower it further.

        That is exactly the difference between the worlds with and without the unit, for all units at once.
        """
        graph = self.outbreak.graph
        gone_arcs, gone_nodes = self.outbreak.gone(chosen)
        gone_nodes = np.append(gone_nodes, False)

        def some(first: int, count: int) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
            by_arc, by_node = np.zeros(graph.num_arcs, np.int64), np.zeros(graph.num_nodes + 1, np.int64)
            weighed = self._weight, by_arc, by_node
            blocks = self._blocks[first : first + count]
            return sum(add_drops(*block, gone_arcs, gone_nodes, *weighed) for block in blocks), by_arc, by_node[:-1]

        parts = list(in_chunks(some, len(self._blocks), chunk=1))
        drop = sum(part[1 if self.outbreak.unit == "arcs" else 2] for part in parts)
        return sum(part[0] for part in parts) * self._scale, drop * self._scale


def _search(outbreak: Outbreak, backward: bool) -> tuple[NDArray[Any], ...]:
    """The arcs that a search meets at each node, with all seeds as node n, and when they are live.

    Where each node's begin [n + 2]; to which node they lead, their ids, coins, and bounds of the coins, all [l].
    """
    graph, n = outbreak.graph, outbreak.graph.num_nodes
    out_ptr, leaving = graph.out
    seeded, target = outbreak.seeded, graph.target.astype(np.int64)
    _, _, *live = diffusion(outbreak.model, graph).arrays
    if backward:
        entering = np.flatnonzero(~seeded[target])
        inverse = np.empty_like(leaving)
        inverse[leaving] = np.arange(len(leaving))
        source = graph.source[entering].astype(np.int64)
        at, to, place, ids = target[entering], np.where(seeded[source], n, source), inverse[entering], entering
    else:
        # First everybody's in order, then those of the seeds; none leads back to a seed.
        place = np.concatenate([np.flatnonzero(~seeded[graph.source[leaving]]), spans(out_ptr, outbreak.seeds)])
        place = place[~seeded[target[leaving[place]]]]
        ids = leaving[place]
        source = graph.source[ids].astype(np.int64)
        at, to = np.where(seeded[source], n, source), target[ids]
    ptr = np.zeros(n + 2, dtype=np.int64)
    np.cumsum(np.bincount(at, minlength=n + 1), out=ptr[1:])
    return ptr, to.astype(np.int32), ids.astype(np.int32), *(one[place] for one in live)


@kernel
def _sample(
    ptr: NDArray[np.int64],
    to: NDArray[np.int32],
    ids: NDArray[np.int32],
    counter: NDArray[np.uint32],
    low: NDArray[np.uint64],
    width: NDArray[np.uint64],
    starts: NDArray[np.int64],
    seed: np.uint64,
    first: np.uint64,
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """The block of worlds `first` to `first` + `count` - 1."""
    most = len(ptr) - 1
    number, met_in = np.empty(most, dtype=np.int32), np.full(most, -1, dtype=np.int64)
    nodes, node = np.zeros(count + 1, dtype=np.int64), np.empty(most, dtype=np.int32)
    arcs, head, arc = np.zeros(most + 1, dtype=np.int64), np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    used, last = np.int64(0), np.int64(0)
    for world in range(count):
        key = stream(seed, first + np.uint64(world))
        node, arcs = _with_room(node, used, most), _with_room(arcs, used + 1, most)
        begin = at = used
        # Coins of arcs are hashed from numbers above 0: the key itself is free to say where to begin.
        start = starts[np.int64(unit(key) * len(starts))]
        node[used], number[start], met_in[start] = start, 0, world
        used += 1
        while at < used:
            here = node[at]
            head, arc = _with_room(head, last, ptr[here + 1] - ptr[here]), _with_room(arc, last, ptr[here + 1] - ptr[here])
            for entry in range(ptr[here], ptr[here + 1]):
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
def _with_room(values, used, more):
    """The array, or a longer one with the same first `used` entries, that has room for `more`."""
    if used + more <= len(values):
        return values
    longer = np.empty(2 * (used + more), dtype=values.dtype)
    longer[:used] = values[:used]
    return longer
