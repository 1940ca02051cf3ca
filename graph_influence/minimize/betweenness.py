"""Units that shortest paths go through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph_influence.minimize.base import register
from graph_influence.minimize.heuristics import Ranking
from graph_influence.outbreak import Outbreak
from unlearn.compiled import kernel
from unlearn.parallel import in_chunks
from unlearn.streams import uniforms

_CHUNK = 128  # sources between which an interrupt is answered
_FEWEST = 256  # nodes that paths are followed from, or all
_STEPS = 2**31  # along arcs, of all paths together: half a minute on one core
_MANY = 2.0**500  # the unit, or a power of it, in which paths are counted where they are more


@register
@dataclass(frozen=True, kw_only=True)
class Betweenness(Ranking):
    """Arcs, or nodes, that lie on most shortest paths between all pairs of nodes, each pair counting 1.

    Brandes, "On variants of shortest-path betweenness centrality and their generic computation" (Social Networks 2008).
    Directions count, probabilities do not. Where nodes times arcs exceed two billion, as many nodes at random as stay
    below stand for all that paths start from, which is unbiased (Brandes and Pich, "Centrality estimation in large
    networks", 2007).
    """

    name = "betweenness"

    def scores(self, outbreak: Outbreak) -> NDArray[np.float64]:
        graph = outbreak.graph
        kept = np.flatnonzero(graph.alive)
        order = kept[np.argsort(graph.source[kept], kind="stable")]
        ptr = np.zeros(graph.num_nodes + 1, dtype=np.int64)
        np.cumsum(graph.out_degree(), out=ptr[1:])

        target, place = graph.target[order], 0 if outbreak.unit == "arcs" else 1
        there = np.flatnonzero(graph.nodes.alive)
        drawn = uniforms(self.seed, "sources of paths", graph.nodes.keys[there])
        followed = max(_FEWEST, _STEPS // max(1, len(order)))
        sources = there[np.sort(np.argsort(drawn)[:followed])]

        def some(first: int, _: int) -> NDArray[np.float64]:
            both = np.zeros(graph.num_arcs), np.zeros(graph.num_nodes)
            _add_paths(ptr, target, order, sources[first * _CHUNK : (first + 1) * _CHUNK], *both)
            return both[place]

        total = np.zeros(outbreak.units)
        # In whole chunks whatever the number of threads, so that sums are rounded the same.
        for part in in_chunks(some, -(-len(sources) // _CHUNK), chunk=1):
            total += part
        return total * (len(there) / max(1, len(sources)))


@kernel
def _add_paths(
    ptr: NDArray[np.int64],
    target: NDArray[np.int32],
    arc: NDArray[np.int64],
    sources: NDArray[np.int64],
    by_arc: NDArray[np.float64],
    by_node: NDArray[np.float64],
) -> None:
    """Adds, for each source, the share of its shortest paths to every other node that go through each arc and node.

    There are paths[node] _MANY^power[node] of them to a node: in a grid of 600 x 600, more than a float can count.
    """
    n = len(ptr) - 1
    distance, paths, through = np.empty(n, np.int64), np.empty(n), np.empty(n)
    power, queue = np.empty(n, np.int64), np.empty(n, np.int64)
    for source in sources:
        distance[:] = -1
        distance[source], paths[source], power[source], through[source], queue[0] = 0, 1.0, 0, 0.0, source
        head, used = 0, 1
        while head < used:
            node = queue[head]
            head += 1
            if paths[node] > _MANY:  # all of them have been found, for they come from nearer nodes
                paths[node], power[node] = paths[node] / _MANY, power[node] + 1
            for entry in range(ptr[node], ptr[node + 1]):
                other = target[entry]
                if distance[other] < 0:
                    distance[other], paths[other], through[other] = distance[node] + 1, 0.0, 0.0
                    power[other] = power[node]
                    queue[used] = other
                    used += 1
                if distance[other] == distance[node] + 1:
                    more = power[node] - power[other]
                    if more == 0:
                        paths[other] += paths[node]
                    elif more < 0:
                        paths[other] += paths[node] * _MANY**more
                    else:
                        paths[other], power[other] = paths[other] * _MANY**-more + paths[node], power[node]
        for place in range(used - 1, -1, -1):
            node = queue[place]
            for entry in range(ptr[node], ptr[node + 1]):
                other = target[entry]
                if distance[other] == distance[node] + 1:
                    share = paths[node] / paths[other] * (1.0 + through[other])
                    if power[node] != power[other]:
                        share *= _MANY ** (power[node] - power[other])
                    through[node] += share
                    by_arc[arc[entry]] += share
            if node != source:
                by_node[node] += through[node]
