"""What hangs on each arc and each node of a live-arc graph, all at once, by its dominator tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unlearn.compiled import kernel

Ints = NDArray[np.int32]


@kernel
def add_drops(
    nodes: NDArray[np.int64],
    node: Ints,
    arcs: NDArray[np.int64],
    head: Ints,
    arc: Ints,
    gone_arcs: NDArray[np.bool_],
    gone_nodes: NDArray[np.bool_],
    weight: NDArray[np.int64],
    asked: NDArray[np.bool_],
    sign: int,
    by_arc: NDArray[np.int64],
    by_node: NDArray[np.int64],
) -> int:
    """Adds, over the `asked` worlds of a `Block`, the weight out of reach without each arc and without each node.

    A node is out of reach without its dominators, which form a tree: taking a node costs its subtree. Taking an arc to
    v costs the subtree of v if all other arcs to v come from that subtree, and nothing otherwise. `weight` [n + 1],
    `gone_nodes` [n + 1] and `by_node` [n + 1] are by row, `by_arc` [m] by id. With `sign` -1 it subtracts. Returns the
    weight that is in reach, with that sign.
    """
    most_nodes, most_arcs = 0, 0
    for world in range(len(nodes) - 1):
        most_nodes = max(most_nodes, nodes[world + 1] - nodes[world])
        most_arcs = max(most_arcs, arcs[nodes[world + 1]] - arcs[nodes[world]])
    # A place is a node's place in the depth-first order, in which everything is by place but `place` itself.
    place, number = np.empty(most_nodes, np.int32), np.empty(most_nodes, np.int32)
    parent, entering = np.empty(most_nodes, np.int32), np.empty(most_nodes, np.int32)
    tail, earlier = np.empty(most_arcs, np.int32), np.empty(most_arcs, np.int32)
    above, size = np.empty(most_nodes, np.int32), np.empty(most_nodes, np.int64)
    work = np.empty((4, most_nodes), np.int32)
    in_reach = 0
    for world in range(len(nodes) - 1):
        low, high = nodes[world], nodes[world + 1]
        rows, ptr = node[low:high], arcs[low : high + 1]
        heads, ids = head[ptr[0] : ptr[-1]], arc[ptr[0] : ptr[-1]]
        if not asked[world] or gone_nodes[rows[0]]:
            continue
        found = place, number, parent, entering, tail, earlier
        met = _search(ptr, heads, ids, rows, gone_arcs, gone_nodes, *found, work)
        _dominate(met, parent, entering, tail, earlier, above, work)
        # A subtree is an interval of the dominator tree's own order: from `start`, `below` nodes long.
        below, start, free = work[0], work[1], work[2]
        for at in range(met):
            size[at], below[at] = sign * weight[rows[number[at]]], 1
        for at in range(met - 1, 0, -1):
            size[above[at]] += size[at]
            below[above[at]] += below[at]
        in_reach += size[0]
        start[0], free[0] = 0, 1
        by_node[rows[0]] += size[0]
        for at in range(1, met):
            start[at] = free[above[at]]
            free[above[at]] += below[at]
            free[at] = start[at] + 1
            by_node[rows[number[at]]] += size[at]
        for at in range(1, met):
            one, only, outside = entering[at], np.int32(-1), 0
            while one >= 0:
                if not start[at] <= start[tail[one]] < start[at] + below[at]:
                    only, outside = one, outside + 1
                one = earlier[one]
            if outside == 1:
                by_arc[ids[only]] += size[at]
    return in_reach


@kernel
def _search(
    ptr: NDArray[np.int64],
    heads: Ints,
    ids: Ints,
    rows: Ints,
    gone_arcs: NDArray[np.bool_],
    gone_nodes: NDArray[np.bool_],
    place: Ints,
    number: Ints,
    parent: Ints,
    entering: Ints,
    tail: Ints,
    earlier: Ints,
    work: NDArray[np.int32],
) -> int:
    """Depth-first search from node 0 over what is not gone; returns how many nodes it meets.

    Writes `place` of each node and `number` of the node at each place, `parent`, and the arcs that enter: the last one
    by place of its head, the `earlier` one and the place of the `tail` by arc.
    """
    next_arc, stack = work[0], work[1]
    place[: len(rows)] = -1
    place[0], number[0], parent[0], entering[0] = 0, 0, 0, -1
    stack[0], next_arc[0] = 0, 0
    depth, met = 1, 1
    while depth:
        here = stack[depth - 1]
        one = ptr[here] - ptr[0] + next_arc[depth - 1]
        if one == ptr[here + 1] - ptr[0]:
            depth -= 1
            continue
        next_arc[depth - 1] += 1
        other = heads[one]
        if gone_arcs[ids[one]] or gone_nodes[rows[other]]:
            continue
        if place[other] < 0:
            place[other], number[met], parent[met], entering[met] = met, other, place[here], -1
            stack[depth], next_arc[depth] = other, 0
            depth, met = depth + 1, met + 1
        tail[one], earlier[one] = place[here], entering[place[other]]
        entering[place[other]] = one
    return met


@kernel
def _dominate(met: int, parent: Ints, entering: Ints, tail: Ints, earlier: Ints, above: Ints, work: Ints) -> None:
    """Immediate dominators `above` of the places 1 to `met` - 1.

    The semi-NCA algorithm (Georgiadis, Tarjan and Werneck, "Finding dominators in practice", 2006): semidominators by
    path compression as Lengauer and Tarjan have them, then the nearest ancestor in the tree so far that is not below.
    """
    semi, label, linked, path = work[0], work[1], work[2], work[3]
    for at in range(met):
        semi[at] = label[at] = at
        linked[at] = above[at] = parent[at]
    for at in range(met - 1, 0, -1):
        best, one = parent[at], entering[at]
        if earlier[one] >= 0:  # with a single arc it is the parent's
            while one >= 0:
                best = min(best, semi[_least(tail[one], at, semi, label, linked, path)])
                one = earlier[one]
        semi[at] = best
    for at in range(1, met):
        while above[at] > semi[at]:
            above[at] = above[above[at]]


@kernel
def _least(at: int, after: int, semi: Ints, label: Ints, linked: Ints, path: Ints) -> int:
    """The place of least semidominator on the way from `at` up through places after `after`, which it shortens."""
    depth = 0
    while linked[at] > after:
        path[depth] = at
        depth += 1
        at = linked[at]
    least = label[at]
    while depth:
        depth -= 1
        lower = path[depth]
        linked[lower] = linked[at]
        if semi[least] < semi[label[lower]]:
            label[lower] = least
        else:
            least = label[lower]
        at = lower
    return label[at]


@kernel
def touching(
    nodes: NDArray[np.int64],
    node: Ints,
    arcs: NDArray[np.int64],
    arc: Ints,
    changed_arcs: NDArray[np.bool_],
    changed_nodes: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which worlds of a `Block` hold any of the marked arcs [m] or nodes [n + 1], [w]."""
    found = np.zeros(len(nodes) - 1, dtype=np.bool_)
    for world in range(len(found)):
        low, high = nodes[world], nodes[world + 1]
        hit = False
        for one in node[low:high]:
            hit |= changed_nodes[one]
        for one in arc[arcs[low] : arcs[high]]:
            hit |= changed_arcs[one]
        found[world] = hit
    return found
