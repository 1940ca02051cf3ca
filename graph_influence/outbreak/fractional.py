"""How many are reached where arcs and nodes are taken in part: convex in what is taken, with a slope for each."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from graph_influence.outbreak.dominators import Ints
from unlearn.compiled import kernel

Floats = NDArray[np.float64]


@kernel
def add_slopes(
    nodes: NDArray[np.int64],
    node: Ints,
    arcs: NDArray[np.int64],
    head: Ints,
    arc: Ints,
    taken_arcs: Floats,
    taken_nodes: Floats,
    weight: NDArray[np.int64],
    by_arc: NDArray[np.int64],
    by_node: NDArray[np.int64],
) -> Floats:
    """What is in reach in each world of a `Block`, [w], and how fast it falls with what is taken of each unit.

    An arc is as long as what is taken of it and of the node that it leads to, and a node at distance d counts
    1 - d of its weight, at 1 and beyond nothing. A tree of shortest ways tells the slopes: what is taken of a unit
    lengthens the ways to all that hangs on it in the tree, the weight of which is added to `by_arc` [m] and `by_node`
    [n + 1]. Where several trees are shortest, each gives a subgradient.
    """
    most = 0
    for world in range(len(nodes) - 1):
        most = max(most, nodes[world + 1] - nodes[world])
    distance, size, settled = np.empty(most), np.empty(most, np.int64), np.empty(most, np.bool_)
    above, entering = np.empty(most, np.int32), np.empty(most, np.int32)
    order, stack = np.empty(most, np.int32), np.empty(most, np.int32)
    in_reach = np.zeros(len(nodes) - 1)
    for world in range(len(nodes) - 1):
        low, high = nodes[world], nodes[world + 1]
        distance[: high - low], settled[: high - low] = 1.0, False
        distance[0], entering[0] = taken_nodes[node[low]], -1
        near, met = [(distance[0], np.int32(0))], 0
        while len(near):
            at = near[0][1]
            heappop(near)
            if settled[at] or distance[at] >= 1.0:
                continue
            # Whoever is at the same distance comes without the queue, which therefore stays short.
            stack[0], settled[at], depth = at, True, 1
            while depth:
                depth -= 1
                here = stack[depth]
                order[met] = here
                met += 1
                for one in range(arcs[low + here], arcs[low + here + 1]):
                    other = head[one]
                    there = distance[here] + taken_arcs[arc[one]] + taken_nodes[node[low + other]]
                    if settled[other] or there >= distance[other]:
                        continue
                    distance[other], above[other], entering[other] = there, here, arc[one]
                    if there == distance[here]:
                        stack[depth], settled[other] = other, True
                        depth += 1
                    else:
                        heappush(near, (there, other))
        for number in range(met):
            size[order[number]] = weight[node[low + order[number]]]
        for number in range(met - 1, -1, -1):
            at = order[number]
            row, by = node[low + at], entering[at]
            in_reach[world] += weight[row] * (1.0 - distance[at])
            by_node[row] += size[at]
            if by >= 0:
                by_arc[by] += size[at]
                size[above[at]] += size[at]
    return in_reach
