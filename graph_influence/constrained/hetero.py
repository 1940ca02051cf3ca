"""Friend recommendation for inviters: whom to put on their lists, by willingness and by how far it carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from graph_influence.coins import purpose
from graph_influence.constrained.pairs import pair_scores
from graph_influence.constrained.participants import Participants
from graph_influence.diffusion import Model
from graph_influence.errors import InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize import bounds
from graph_influence.rrsets import RRSets
from unlearn.forget import Id
from unlearn.invalid import Problems


@dataclass(frozen=True, slots=True, eq=False)
class FriendLists:
    """For each inviter the friends to invite, best first, and their scores."""

    friends: dict[Id, tuple[Id, ...]]
    scores: dict[Id, tuple[float, ...]]


def willing(graph: SocialGraph, given: Any) -> SocialGraph:
    """The graph with p(i, j) = the probability that i invites j and j accepts.

    Args:
        given: numbers from 0 to 1: a matrix [n, n] over rows of the graph, dense or of SciPy, or a function that takes
            external ids of inviters and of friends, [m] each, and returns [m], such as a recommender's scores through a
            logistic link.

    Raises:
        InvalidRequest: the shape is another.
        InvalidGraph: a number is not from 0 to 1.
    """
    there = np.flatnonzero(graph.alive)
    tails, heads = graph.source[there], graph.target[there]
    if callable(given):
        found = given(graph.nodes.take(tails), graph.nodes.take(heads))
    elif issparse(given) and given.shape == (graph.num_nodes,) * 2:
        found = csr_array(given)[tails, heads]
    else:
        found = np.asarray(given, dtype=np.float64)
        if found.shape == (graph.num_nodes,) * 2:
            found = found[tails, heads]
    p = np.asarray(found, dtype=np.float64)
    if p.shape != there.shape:
        raise InvalidRequest(
            f"willingness must be a matrix of {graph.num_nodes} x {graph.num_nodes} or give a number for each of "
            f"{len(there)} arcs (got shape {p.shape})"
        )
    probability = np.zeros(graph.num_arcs)
    probability[there] = p
    return graph.with_probability(probability)


@dataclass(frozen=True, kw_only=True)
class HeteroIR:
    """Rank friends by their willingness, and by that of their own friends.

    HeteroIR (CIKM 2025): inviter i invites j with probability P(i, j), j accepts with probability U(j). j is worth
    what j may bring in turn, the `capacity` friends l of j with the largest P(j, l) U(l):

        beta(i, j) = P(i, j) U(j) (1 + H(j)),   H(j) = sum of these P(j, l) U(l)

    Nothing is simulated; the horizon is two steps. Of equal scores the lower row of the graph comes first.
    """

    capacity: int = 20

    def recommend(
        self, graph: SocialGraph, inviters: Iterable[Id], k: int, accepts: NDArray[np.float64] | None = None
    ) -> FriendLists:
        """The best `k` friends for each inviter; the graph's probabilities are P, `accepts` [n] is U (default: 1).

        Raises:
            UnknownIds: an inviter is not there.
            InvalidRequest: listing what else is wrong with the arguments.
        """
        pairs = _pairs(graph, inviters, k, accepts, self.capacity)
        value = graph.probability if accepts is None else graph.probability * accepts[graph.target]
        # The largest values of the arcs that leave each person, up to the capacity.
        order = np.lexsort((-value, graph.source))
        first = np.cumsum(np.bincount(graph.source, minlength=graph.num_nodes))
        place = np.arange(len(order)) - np.concatenate([[0], first])[graph.source[order]]
        counted = order[place < self.capacity]
        beyond = np.bincount(graph.source[counted], value[counted], minlength=graph.num_nodes)
        own = pairs.weight if accepts is None else pairs.weight * accepts[pairs.candidate]
        return _ranked(pairs, own * (1 + beyond[pairs.candidate]), k)


@dataclass(frozen=True, kw_only=True)
class HeteroIM:
    """Rank friends by how much of the spread they share with the inviter.

    HeteroIM (CIKM 2025): reverse-reachable sets of the cascade in which i activates j with probability P(i, j). Friends
    v of the inviters are taken in the order of a greedy cover. When v is taken, each inviter u with an arc to v scores

        score(u, v) = 1 + number of sets not covered so far that hold both u and v

    and where that is 1, sets not covered so far that hold v, over the most that anybody holds: below every pair that
    shares a set, and larger for whoever reaches more. Then v's sets are covered. The number of sets is that of a
    capacity constrained maximisation of lists of `size` for all inviters.

    Differences from the paper:
        - Its published code divides a negated count in the second case, so that among friends without a common set the
          one who reaches least comes first. Here the sign is right.
        - Roots are drawn uniformly; the paper takes equally many for each person.
        - What the inviters may accept enters the probabilities, where `accepts` is given.
    """

    size: int = 3
    eps: float = 0.1
    delta: float | None = None
    model: Model = "ic"
    seed: int = 0

    def recommend(
        self, graph: SocialGraph, inviters: Iterable[Id], k: int, accepts: NDArray[np.float64] | None = None
    ) -> FriendLists:
        """As `HeteroIR.recommend`."""
        given = ("eps", self.eps, bounds.LEAST_EPS, inf), ("delta", self.delta, bounds.LEAST_DELTA, 1)
        wrong = [
            f"`{name}` must be above {least} and below {most} (got {value})"
            for name, value, least, most in given
            if value is not None and not least < value < most
        ]
        pairs = _pairs(graph, inviters, k, accepts, self.size, wrong)
        if accepts is not None:
            graph = graph.with_probability(graph.probability * accepts[graph.target])
        sets = RRSets(graph, self.model, seed=purpose(self.seed, "hetero"))
        n = graph.num_alive
        first = bounds.sets_enough(n, 0.5, pairs.log_choices, n, 1.0, self.delta or 1 / n)
        doublings = max(floor(log2(n / (self.size * len(pairs.active))) - 2 * log2(self.eps)), 0)
        sets.grow(n * ceil(first * 2**doublings / n))
        return _ranked(pairs, pair_scores(sets, pairs.active, pairs.ptr, pairs.candidate), k)


def _pairs(
    graph: SocialGraph,
    inviters: Iterable[Id],
    k: int,
    accepts: NDArray[np.float64] | None,
    capacity: int,
    wrong: Sequence[str] = (),
) -> Participants:
    """Inviters and all their friends, other inviters included; `wrong` is what is known to be wrong already."""
    rows = graph.nodes.rows(inviters)
    problems = Problems("these arguments", InvalidRequest)
    problems.found.extend(wrong)
    if len(rows) == 0 or len(np.unique(rows)) < len(rows):
        problems.add(f"there must be inviters, each named once (got {len(rows)}, {len(np.unique(rows))} different)")
    if k < 1 or capacity < 1:
        problems.add(f"lists and capacities must be at least 1 (got {k} and {capacity})")
    if accepts is not None and (accepts.shape != (graph.num_nodes,) or not ((accepts >= 0) & (accepts <= 1)).all()):
        problems.add(f"`accepts` must be {graph.num_nodes} numbers from 0 to 1 (got shape {accepts.shape})")
    problems.raise_any()
    return Participants.between(graph, graph, rows, capacity)


def _ranked(pairs: Participants, score: NDArray[np.float64], k: int) -> FriendLists:
    """The best `k` of each inviter's friends."""
    friends: dict[Id, tuple[Id, ...]] = {}
    scores: dict[Id, tuple[float, ...]] = {}
    for u, inviter in enumerate(pairs.graph.nodes.take(pairs.active)):
        own = slice(pairs.ptr[u], pairs.ptr[u + 1])
        best = np.lexsort((pairs.candidate[own], -score[own]))[:k]
        friends[inviter] = tuple(pairs.graph.nodes.take(pairs.candidate[own][best]))
        scores[inviter] = tuple(score[own][best].tolist())
    return FriendLists(friends, scores)
