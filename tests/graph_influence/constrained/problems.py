"""Small constrained problems, and every feasible answer to them."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from graph_influence.constrained.participants import Participants
from graph_influence.graph import SocialGraph
from graph_influence.rrsets import RRSets

NONE = np.empty(0, dtype=np.int64)


def problem(seed: int, capacity: int = 2, *, active: int = 3, passive: int = 8, arcs: int = 9) -> Participants:
    """Active people 0, 1, ... who share candidates, and few enough arcs among the passive ones to enumerate."""
    random = np.random.default_rng(seed)
    n = active + passive
    offers = [(u, v) for u in range(active) for v in range(active, n) if random.uniform() < 0.45]
    ties = random.permutation([(u, v) for u in range(active, n) for v in range(active, n) if u != v])[:arcs].tolist()
    back = [(v, u) for u, v in offers if random.uniform() < 0.3]  # through the active ones: not for the spread
    p = np.concatenate([random.uniform(0.2, 1.0, len(offers)), random.uniform(size=len(ties)), np.ones(len(back))])
    tails, heads = np.array(offers + ties + back).T
    return Participants.of(SocialGraph.from_arcs(tails, heads, p, nodes=n), range(active), capacity)


def candidates(participants: Participants) -> list[list[int]]:
    ptr, who = participants.ptr, participants.candidate
    return [who[ptr[u] : ptr[u + 1]].tolist() for u in range(len(participants.active))]


def feasible(participants: Participants) -> set[frozenset[int]]:
    """Everybody invited by lists as long as they can be, for all such lists."""
    k = participants.capacity
    choices = [list(combinations(own, min(k, len(own)))) for own in candidates(participants)]
    return {frozenset(row for one in lists for row in one) for lists in product(*choices)}


def stored(participants: Participants, sets: int, seed: int = 0) -> tuple[RRSets, list[set[int]]]:
    """Sets of the passive graph, and the numbers of those that hold each row."""
    store = RRSets(participants.passive, seed=seed)
    store.grow(sets)
    found: list[set[int]] = [set() for _ in range(participants.graph.num_nodes)]
    for number in range(sets):
        for row in store.members[number].tolist():
            found[row].add(number)
    return store, found


def covered(found: list[set[int]], rows) -> int:
    return len(set().union(*(found[row] for row in rows)))
