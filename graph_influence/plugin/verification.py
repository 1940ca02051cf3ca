"""What is examined of a staged network before it may serve: against the remaining graph, and against fresh sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import purpose
from graph_influence.graph import SocialGraph
from graph_influence.maximize.standing import StandingSeeds
from graph_influence.network import Network
from graph_influence.plugin import sealed
from graph_influence.plugin.arrivals import Stored
from graph_influence.plugin.surrogate_checks import NOT_COVERED as UNKNOWN
from graph_influence.plugin.surrogate_checks import examine_surrogate
from graph_influence.rrsets import RRSets
from graph_influence.rrsets.rows import Rows
from graph_influence.standing_surrogate import StandingSurrogate
from unlearn.staging import Sealed
from unlearn.target import Check, Verdict

_FAR = 4.5  # standard errors, which chance exceeds once in 150,000 times

NOT_COVERED = (
    "backups, exports and copies that this service did not make",
    "seeds and spreads that were handed out before, and what was done by them",
    "that somebody left: until the next rebuild their ties' places are kept, without a name and as wide as they were",
    "the proof of the seeds, where people leave because they were chosen",
)


def examine(
    network: Network, stored: Stored, gone: Sequence[Sealed], before: StandingSurrogate | None = None
) -> Verdict:
    """The verdict on a staged network over its own graph.

    - `forgotten_ids`: people of the version who are not in the remaining graph.
    - `removed_ties`, `lost_ties`: ties of the version that were never or are no longer stored; and the other way round.
    - `other_probabilities`: ties whose probability is not that of the remaining graph, next to no tie that came in.
    - `sets_of_the_forgotten`: sets that hold a row of nobody.
    - `not_replayed`: sets that their own coins, tossed again on the version's graph, do not give.
    - `seed_spread`, `set_size`, `spread_around`: by how many standard errors the version's estimates of the spread of
      the seeds, of a random person, and of those who had ties with the forgotten differ from those on as many sets that
      were drawn afresh, by other coins, from the version's graph numbered anew. Sets that were only masked or redrawn
      from other roots are found out here.
    - `missing_seeds`: places of seeds that nobody alive has.
    - `proven_ratio`: the ratio of the seeds by the bounds on the version's own sets.
    - Those of `examine_surrogate`, where a surrogate learned from the graph.

    Args:
        gone: what is sealed of those who are to be forgotten.
        before: the published surrogate, over the graph that it learned from.
    """
    standing, graph = network.standing, network.graph
    pair = (standing.collections.selection, standing.collections.judging)
    dead = ~graph.nodes.alive
    known = stored.graph.nodes.rows(graph.nodes.take(np.flatnonzero(graph.nodes.alive)), unknown="mark")
    seeds = standing.selected.rows
    wanted = min(network.plan.k, graph.num_alive)
    ratio = standing.collections.evidence(standing.selected, standing.rule.log_inverse(standing.looks)).certified
    learned = list(examine_surrogate(network.surrogate, before))
    return Verdict(
        (
            Check(name="forgotten_ids", value=int((known < 0).sum()), high=0),
            *_ties(graph, stored),
            Check(
                name="sets_of_the_forgotten",
                value=int(sum(_held(sets, dead).astype(bool).sum() for sets in pair)),
                high=0,
            ),
            Check(name="not_replayed", value=sum(map(_otherwise, pair)), high=0),
            *_estimates(standing, _around(graph, stored, gone)),
            Check(name="missing_seeds", value=wanted - len(np.unique(seeds[~dead[seeds]])), high=0),
            Check(name="proven_ratio", value=ratio, low=standing.least),
            *learned,
        ),
        NOT_COVERED + ((UNKNOWN,) if learned else ()),
    )


def _ties(graph: SocialGraph, stored: Stored) -> Iterator[Check]:
    """The version's ties against those stored, in rows of the stored graph."""
    ours, theirs = graph.alive, stored.graph.alive
    number = stored.graph.nodes.rows(graph.nodes.take(np.arange(graph.num_nodes)), unknown="mark")
    n = stored.graph.num_nodes + 1
    made = number[graph.target[ours]] * n + number[graph.source[ours]]
    kept = stored.graph.target[theirs].astype(np.int64) * n + stored.graph.source[theirs]
    ends = (stored.graph.nodes.rows(stored.arrived[name].tolist(), unknown="mark") for name in ("target", "source"))
    heads, tails = ends
    more = heads * n + tails
    came = np.isin(made, more)
    yield Check(name="removed_ties", value=int((~(np.isin(made, kept) | came)).sum()), high=0)
    yield Check(name="lost_ties", value=int((~np.isin(kept, made)).sum()), high=0)
    order = np.argsort(kept)
    place = order[np.minimum(np.searchsorted(kept, made, sorter=order), len(kept) - 1)] if len(kept) else order[:0]
    both = np.isin(made, kept) & ~np.isin(made // n, made[came] // n)
    other = graph.probability[ours][both] != stored.graph.probability[theirs][place[both[: len(place)]]]
    yield Check(name="other_probabilities", value=int(other.sum()), high=0)


def _held(sets: RRSets, marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of the marked rows each set holds, [sets]."""
    members = sets.members.packed()
    before = np.concatenate([[0], np.cumsum(marked[members.data[: members.used]])])
    return before[members.start + members.length] - before[members.start]


def _otherwise(sets: RRSets) -> int:
    """How many sets their coins do not give."""
    again = RRSets.resumed(sets.graph, sets.arcs, sets.seed, Rows.empty())
    again.grow(len(sets))
    one, two = sets.members.packed(), again.members.packed()
    same = one.length == two.length
    if same.all() and np.array_equal(one.data[: one.used], two.data[: two.used]):
        return 0
    return sum(not (same[k] and np.array_equal(one[k], two[k])) for k in range(len(sets)))


def _around(graph: SocialGraph, stored: Stored, gone: Sequence[Sealed]) -> NDArray[np.bool_]:
    """Marks those who had ties with the forgotten and are still there."""
    ids = stored.graph.nodes.take(sealed.others(gone))
    rows = graph.nodes.rows([one for one in ids if one is not None], unknown="mark")
    marked = np.zeros(graph.num_nodes, dtype=np.bool_)
    marked[rows[rows >= 0]] = True
    return marked


def _estimates(standing: StandingSeeds, around: NDArray[np.bool_]) -> Iterator[Check]:
    pair, alive = standing.collections, standing.graph.nodes.alive
    chosen = np.zeros(len(alive), dtype=np.bool_)
    chosen[standing.selected.rows] = True
    # As many sets for each, so that what differs by chance differs little.
    seed = purpose(pair.judging.seed, f"verification {standing.looks}")
    fresh = RRSets(standing.graph.compact(), standing.model, seed=seed)
    fresh.grow(len(pair))
    hits = _held(pair.judging, chosen) > 0, _held(fresh, chosen[alive]) > 0
    yield _differ("seed_spread", *(one.astype(np.float64) for one in hits))
    for name, marked in (("set_size", alive), ("spread_around", around)):
        both = [_held(sets, marked) for sets in (pair.selection, pair.judging)]
        yield _differ(name, np.concatenate(both), _held(fresh, marked[alive]))


def _differ(name: str, ours: NDArray[np.number], fresh: NDArray[np.number]) -> Check:
    """The difference of two means, in its standard error."""
    error = sqrt(ours.var() / len(ours) + fresh.var() / len(fresh))
    difference = float(ours.mean() - fresh.mean())
    return Check(
        name=name, value=difference / error if error else inf * difference if difference else 0.0, low=-_FAR, high=_FAR
    )
