"""Who may invite whom, and how many: active participants, the passive graph, and the lists between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import fsum

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from graph_influence.errors import InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize.bounds import log_binomial
from unlearn.forget import Id
from unlearn.invalid import Problems


@dataclass(frozen=True, eq=False)
class Participants:
    """Active participants, each of whom may invite at most `capacity` of the others that an arc of theirs points to.

    The candidates of `active[u]` are `candidate[ptr[u] : ptr[u + 1]]`, and `weight` is the probability of the arc.
    `capacity` is what was asked for, or as many candidates as anybody has, at least one, where that is less.
    Spread is counted in the `passive` graph, from which the active participants are gone: a path through them would
    use an invitation that nobody sent.

    Shapes:
        active int64 [d], rows of `graph`; ptr int64 [d + 1]; candidate int32 [c]; weight float64 [c].
    """

    graph: SocialGraph
    passive: SocialGraph
    capacity: int
    active: NDArray[np.int64]
    ptr: NDArray[np.int64]
    candidate: NDArray[np.int32]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, graph: SocialGraph, active: Iterable[Id], capacity: int) -> Participants:
        """Participants from external ids of the active ones, in this order.

        Raises:
            UnknownIds: an active participant is not there.
            InvalidRequest: an active participant is named twice or nobody is, nobody is passive, or `capacity` is
                below 1.
        """
        rows = graph.nodes.rows(active)
        problems = Problems("these participants", InvalidRequest)
        if twice := len(rows) - len(np.unique(rows)):
            problems.add(f"each active participant must be named once (got {twice} again)")
        elif not 0 < len(rows) < graph.num_alive:
            problems.add(f"there must be active and passive people (got {len(rows)} active of {graph.num_alive})")
        if capacity < 1:
            problems.add(f"`capacity` must be at least 1 (got {capacity})")
        problems.raise_any()
        return cls.between(graph, graph.without_rows(rows, np.empty(0, dtype=np.int64)), rows, capacity)

    @classmethod
    def between(
        cls, graph: SocialGraph, passive: SocialGraph, active: NDArray[np.int64], capacity: int
    ) -> Participants:
        """Participants where the passive graph is known."""
        out_ptr, out_arcs = graph.out
        arcs = [out_arcs[out_ptr[row] : out_ptr[row + 1]] for row in active.tolist()]
        arcs = [leaving[graph.alive[leaving] & passive.nodes.alive[graph.target[leaving]]] for leaving in arcs]
        ptr = np.zeros(len(active) + 1, dtype=np.int64)
        np.cumsum([len(leaving) for leaving in arcs], out=ptr[1:])
        joined = np.concatenate(arcs)
        # Lists are stored with all their room, so it is no more than there are candidates for.
        room = min(capacity, int(np.diff(ptr).max(initial=1)))
        return cls(graph, passive, room, active, ptr, graph.target[joined], graph.probability[joined])

    @cached_property
    def log_choices(self) -> float:
        """ln of the number of ways to fill every list."""
        return fsum(log_binomial(count, self.capacity) for count in np.diff(self.ptr).tolist())

    @cached_property
    def most(self) -> int:
        """How many different people the lists can hold: a maximum flow from lists of `capacity` to candidates of one.

        It bounds the best spread from below, as invitees reach themselves.
        """
        d, (people, candidate) = len(self.active), np.unique(self.candidate, return_inverse=True)
        if not len(people):
            return 0
        sink = d + len(people) + 1
        inviter = np.repeat(np.arange(1, d + 1), np.diff(self.ptr))
        tails = np.concatenate([np.zeros(d, dtype=np.int64), inviter, np.arange(d + 1, sink)])
        heads = np.concatenate([np.arange(1, d + 1), d + 1 + candidate, np.full(len(people), sink)])
        room = np.ones(len(tails), dtype=np.int32)
        room[:d] = self.capacity
        return int(maximum_flow(csr_array((room, (tails, heads)), shape=(sink + 1, sink + 1)), 0, sink).flow_value)

    def possible(self, lists: NDArray[np.int32]) -> NDArray[np.int32]:
        """The lists [d, capacity] without those who are no candidates, -1 in the places behind the others."""
        kept = np.full_like(lists, -1)
        for u, listed in enumerate(lists):
            invited = listed[np.isin(listed, self.candidate[self.ptr[u] : self.ptr[u + 1]])]
            kept[u, : len(invited)] = invited
        return kept

    def named(self, lists: NDArray[np.int32]) -> dict[Id, tuple[Id, ...]]:
        """Lists [d, capacity] as external ids, in order of descending probability of the arc."""
        found: dict[Id, tuple[Id, ...]] = {}
        for u, inviter in enumerate(self.graph.nodes.take(self.active)):
            own = slice(self.ptr[u], self.ptr[u + 1])
            chosen = np.isin(self.candidate[own], lists[u])
            order = np.argsort(-self.weight[own][chosen], kind="stable")
            found[inviter] = tuple(self.graph.nodes.take(self.candidate[own][chosen][order]))
        return found
