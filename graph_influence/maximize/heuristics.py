"""Seeds by where people stand in the graph: instant, without any guarantee."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import Choice, Maximizer, ranked, register
from unlearn.compiled import kernel

_DAMPING = 0.999  # the most


@register
@dataclass(frozen=True, kw_only=True)
class Degree(Maximizer):
    """People whom most arcs leave."""

    name = "degree"

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        return Choice(ranked(graph)[:k])


@register
@dataclass(frozen=True, kw_only=True)
class DegreeDiscount(Maximizer):
    """The largest expected number of people reached at once, given the seeds so far.

    Chen, Wang and Yang, "Efficient influence maximization in social networks" (KDD 2009). v adds

        Pr[no seed activates v] (1 + sum of p(v, w) over w that are no seeds)

    where seeds activate by a single arc: the product of 1 - p(u, v) over seeds u, or 1 less the sum of w(u, v) under
    "lt".

    Differences from the paper:
        - It has one p and both directions of every arc, and keeps the terms of first order in p: d - 2t - (d - t) t p
          for a node of d neighbours, t of them seeds, is (1 - p)^t (1 + (d - t) p) up to a constant and a factor.
    """

    name = "degree_discount"

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        order, (out_ptr, out_arcs) = ranked(graph), graph.out
        alone = np.ones(graph.num_nodes)
        beyond = np.zeros(graph.num_nodes)
        np.add.at(beyond, graph.source, graph.probability)
        gain = np.where(graph.nodes.alive, 1 + beyond, -np.inf)
        rows = np.empty(k, dtype=np.int32)
        for number in range(k):
            # The first of the best in the order of degrees.
            rows[number] = seed = order[gain[order].argmax()]
            reached = out_arcs[out_ptr[seed] : out_ptr[seed + 1]]
            after, p = graph.target[reached], graph.probability[reached]
            alone[after] = alone[after] * (1 - p) if self.model == "ic" else np.maximum(alone[after] - p, 0)
            entering = slice(graph.in_ptr[seed], graph.in_ptr[seed + 1])
            before = graph.source[entering]
            beyond[before] -= graph.probability[entering]
            for touched in (after, before):
                gain[touched] = np.where(np.isneginf(gain[touched]), -np.inf, alone[touched] * (1 + beyond[touched]))
            gain[seed] = -np.inf
        return Choice(rows)


@register
@dataclass(frozen=True, kw_only=True)
class PageRank(Maximizer):
    """The people whom a walk against the arcs visits most.

    Page, Brin, Motwani and Winograd, "The PageRank citation ranking" (1999): from v the walk goes to u with
    probability p(u, v) / sum of p over arcs to v, and starts again anywhere with probability 1 - `damping`, or always
    where nothing points to v.
    """

    name = "pagerank"

    damping: float = 0.85

    def _wrong(self) -> list[str]:
        return wrong_damping(self.damping)

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        order = ranked(graph)
        rank = pagerank(graph, self.damping)
        return Choice(order[np.argsort(-rank[order], kind="stable")[:k]])


def wrong_damping(damping: float) -> list[str]:
    """What is wrong with it: closer to 1, what is left to change of the ranks is less than what they are rounded by."""
    return [] if 0 <= damping <= _DAMPING else [f"`damping` must be from 0 to {_DAMPING} (got {damping})"]


def pagerank(graph: SocialGraph, damping: float) -> NDArray[np.float64]:
    """Share of the visits of each row, [n], summing to 1; to 1e-10 in sum of absolute differences."""
    n, alive = graph.num_nodes, graph.nodes.alive
    into = np.bincount(graph.target, graph.probability, minlength=n)
    share = np.divide(graph.probability, into[graph.target], out=np.zeros(graph.num_arcs), where=graph.probability > 0)
    walk = csr_array((share, (graph.source, graph.target)), shape=(n, n))
    anywhere = alive / alive.sum()
    rank = anywhere
    while True:
        after = damping * (walk @ rank + rank[into == 0].sum() * anywhere) + (1 - damping) * anywhere
        # What is left to change is at most damping / (1 - damping) times the last change.
        if np.abs(after - rank).sum() * damping <= 1e-10 * (1 - damping):
            return after
        rank = after


@register
@dataclass(frozen=True, kw_only=True)
class KShell(Maximizer):
    """The people in the innermost shells, of one shell those of the highest degree.

    Kitsak et al., "Identification of influential spreaders in complex networks" (Nature Physics 2010, arXiv
    1001.5285): the shell is the largest c such that the person belongs to a part of the graph in which everybody has
    at least c neighbours, whichever way the arcs run.
    """

    name = "k_shell"

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        order = ranked(graph)
        return Choice(order[np.argsort(-shells(graph)[order], kind="stable")[:k]])


def shells(graph: SocialGraph) -> NDArray[np.int64]:
    """Shell number of each row, [n]."""
    ends = np.stack([graph.source, graph.target])[:, graph.alive]
    ones = np.ones(2 * ends.shape[1], dtype=np.int8)
    both = (ones, (np.concatenate([ends[0], ends[1]]), np.concatenate([ends[1], ends[0]])))
    neighbours = csr_array(both, shape=(graph.num_nodes, graph.num_nodes))
    neighbours.sum_duplicates()
    return _shells(neighbours.indptr.astype(np.int64), neighbours.indices.astype(np.int64))


@kernel
def _shells(ptr: NDArray[np.int64], neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Peeling in order of degrees (Batagelj and Zaversnik, 2003, arXiv cs/0310049)."""
    n = len(ptr) - 1
    degree = ptr[1:] - ptr[:-1]
    order = np.argsort(degree, kind="mergesort")
    place = np.empty(n, dtype=np.int64)
    for at in range(n):
        place[order[at]] = at
    starts = np.zeros(n + 1, dtype=np.int64)
    for row in range(n):
        starts[degree[row] + 1] += 1
    for d in range(n):
        starts[d + 1] += starts[d]
    for at in range(n):
        row = order[at]
        for other in neighbours[ptr[row] : ptr[row + 1]]:
            d = degree[other]
            if d <= degree[row]:
                continue
            front = starts[d]  # of its degree's rows, where the next smaller degree ends
            moved = order[front]
            order[place[other]], order[front] = moved, other
            place[moved], place[other] = place[other], front
            starts[d] = front + 1
            degree[other] = d - 1
    return degree
