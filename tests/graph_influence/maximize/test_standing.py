"""Seeds that stand: what stays, what is refilled, when everything is chosen anew, and that the proof holds."""

from __future__ import annotations

from math import log, pi

import numpy as np
import pytest

from graph_influence.errors import InvalidGraph, InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize import Opim, StandingSeeds, bounds
from graph_influence.maximize import standing as standing_seeds
from graph_influence.maximize.evaluation import evaluated
from graph_influence.maximize.judged import Collections
from graph_influence.maximize.stopping import Evidence
from graph_influence.rrsets import RRSets
from graph_influence.schemes import weighted_cascade
from tests.graph_influence.maximize.graphs import Enumerated, social
from tests.oracles.cascades import random_graph
from unlearn.forget import ForgetSet

K = 10


def rows(*numbers):
    return np.array(numbers, dtype=np.int64)


def test_it_begins_with_the_seeds_of_opim():
    """Less is proven of them, for further looks and further selections may fail as well."""
    standing, answer = StandingSeeds(social(), K, seed=2), Opim(seed=2).maximize(social(), K)
    assert standing.nodes == answer.nodes
    assert standing.spread == answer.spread
    assert answer.ratio is not None and 0.99 * answer.ratio < standing.ratio < answer.ratio


def proven(standing, delta):
    """The quotient of the bounds of the last look, each of which fails with 3 delta / (pi^2 t^3)."""
    pair, n, t = standing.collections, standing.graph.num_alive, standing.looks
    a = log(pi**2 * t**3 / (3 * delta))
    low = bounds.spread_below(pair.judging.coverage(standing.selected.rows), len(pair.judging), n, a)
    return low / bounds.spread_above(standing.selected.above, len(pair.selection), n, a)


def test_looks_and_selections_spend_no_more_than_delta_together():
    """Of four stars the largest loses its people, again and again; between, somebody leaves whom nobody knew."""
    tails, n = np.repeat(range(4), [60, 50, 40, 30]), 190
    graph = SocialGraph.from_arcs(tails, np.arange(4, 184), 0.5, nodes=n)
    standing, delta, coins = StandingSeeds(graph, 1, share=0.85, delta=0.1), 0.1, list[int]()
    for star in range(4):
        delta /= 2
        pair, looks = standing.collections, standing.looks
        coins += pair.selection.seed, pair.judging.seed
        assert standing.nodes == (star,)
        assert standing.ratio == pytest.approx(proven(standing, delta), rel=1e-12)
        graph = graph.without_rows(rows(184 + star), rows())
        assert not standing.update(graph).chosen_anew and standing.looks == looks + 1
        assert standing.ratio == pytest.approx(proven(standing, delta), rel=1e-12)
        if star < 3:
            graph = graph.without_rows(4 + np.flatnonzero(tails == star), rows())
            assert standing.update(graph).chosen_anew and len(standing.collections.judging) >= len(pair.judging)
    assert len(set(coins)) == 8


@pytest.mark.parametrize(("left", "anew"), [(0.985, False), (0.975, True)])
def test_two_hundredths_of_what_was_proven_may_go(left, anew, monkeypatch):
    graph = social()
    standing, evidence = StandingSeeds(graph, K), Collections.evidence
    given = [Evidence(low=left * standing.ratio, high=1.0, attainable=1.0)]
    monkeypatch.setattr(Collections, "evidence", lambda *told: given.pop() if given else evidence(*told))
    assert standing.update(graph.without_rows(rows(299), rows())).chosen_anew == anew


def test_whoever_is_no_seed_may_leave_without_a_seed_changing():
    graph = social()
    standing = StandingSeeds(graph, K)
    before = standing.nodes
    others = [node for node in graph.nodes.ids if node not in before][5:8]
    upkeep = standing.update(graph.without(ForgetSet(users=others)))
    assert standing.nodes == before
    assert (upkeep.lost, upkeep.chosen_anew) == (0, False)
    assert upkeep.ratio == standing.ratio > 0.5


def test_a_seed_that_leaves_is_replaced_and_the_others_stay():
    graph = social()
    standing = StandingSeeds(graph, K)
    first, *others = standing.nodes
    upkeep = standing.update(graph.without(ForgetSet(users=[others[-1]])))
    assert upkeep.lost == 1 and not upkeep.chosen_anew
    assert standing.nodes[: K - 1] == (first, *others[:-1])
    assert others[-1] not in standing.nodes and len(set(standing.nodes)) == K


def test_bounds_are_taken_anew_on_what_is_left():
    """After a change the spread and the ratio are those of the new graph, not those of the old sets."""
    graph = social()
    standing = StandingSeeds(graph, K)
    gone = graph.nodes.rows(standing.nodes[:4])
    left = graph.without_rows(gone, rows())
    assert standing.update(left).lost == 4
    again = evaluated(left, left.nodes.rows(standing.nodes), "ic", 3)
    assert standing.spread.low < again.mean < standing.spread.high
    fresh = Opim().maximize(left, K)
    assert standing.spread.mean > 0.97 * fresh.spread.mean
    assert fresh.ratio is not None and standing.ratio > 0.9 * fresh.ratio


def test_all_seeds_are_chosen_anew_when_too_little_can_be_proven_of_them():
    """Two stars: everybody who follows the first seed leaves, and the seed that is left reaches nobody."""
    tails = np.repeat([0, 1], [60, 40])
    graph = SocialGraph.from_arcs(tails, np.arange(2, 102), 0.5, nodes=102)
    standing = StandingSeeds(graph, 1)
    assert standing.nodes == (0,)
    upkeep = standing.update(graph.without_rows(np.arange(2, 62), rows()))
    assert upkeep.chosen_anew and upkeep.lost == 0
    assert standing.nodes == (1,)
    assert standing.ratio > 0.7


@pytest.mark.parametrize("renormalise", [False, True])
def test_the_proof_holds_through_a_stream_of_deletions(renormalise):
    for seed in range(12):
        graph = random_graph(seed)
        if renormalise:
            graph = weighted_cascade(graph)
        if graph.num_nodes < 5:
            continue
        standing, random = StandingSeeds(graph, 2, seed=seed, delta=0.2), np.random.default_rng(seed)
        for row in random.permutation(graph.num_nodes)[:3]:
            graph = graph.without_rows(rows(row), rows(), renormalise=renormalise)
            standing.update(graph)
            truth = Enumerated(graph, "ic")
            chosen = graph.nodes.rows(standing.nodes)
            assert len(set(standing.nodes)) == 2
            assert truth.spread(chosen) >= standing.ratio * truth.best(2)
            assert truth.spread(chosen) >= 0.8 * truth.best(2)


def test_ties_leave_too():
    graph = SocialGraph.from_arcs([0, 0, 1], [2, 3, 4], 1.0, nodes=5)
    standing = StandingSeeds(graph, 2)
    assert standing.nodes == (0, 1)
    standing.update(graph.without(ForgetSet(ties=[(0, 2), (0, 3)])))
    assert standing.spread.mean == pytest.approx(3, rel=0.1)


def test_fewer_are_left_than_were_asked_for():
    graph = SocialGraph.from_arcs([0, 1], [1, 2], 0.5, nodes=3)
    standing = StandingSeeds(graph, 3)
    upkeep = standing.update(graph.without_rows(rows(0), rows()))
    assert upkeep.lost == 1
    assert sorted(standing.nodes) == [1, 2]


@pytest.mark.parametrize("during", ["following", "refilling", "choosing anew"])
def test_what_was_interrupted_can_be_asked_for_again(during, monkeypatch):
    """Of two stars the larger leaves, with its centre or without: then the seed stays, and is no longer good enough."""
    tails = np.repeat([0, 1], [60, 40])
    graph = SocialGraph.from_arcs(tails, np.arange(2, 102), 0.5, nodes=102)
    standing, expected = (StandingSeeds(graph, 1, share=0.8) for _ in range(2))
    leaving = ForgetSet(users=(*([] if during == "choosing anew" else [0]), *range(2, 62)))
    assert expected.update(graph.without(leaving)).chosen_anew == (during == "choosing anew")
    work = {
        "following": (standing.collections.judging, "update"),
        "refilling": (standing_seeds, "greedy"),
        "choosing anew": (RRSets, "grow"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*work[during], raised)
        with pytest.raises(KeyboardInterrupt):
            standing.update(standing.graph.without(leaving))
    standing.update(standing.graph.without(leaving))
    assert (standing.nodes, standing.spread, standing.ratio) == (expected.nodes, expected.spread, expected.ratio)


def raised(*_):
    raise KeyboardInterrupt


def test_what_cannot_be_followed_changes_nothing():
    graph = social()
    standing = StandingSeeds(graph, K)
    before = standing.nodes, standing.ratio, standing.spread
    with pytest.raises(InvalidRequest, match="nobody is left"):
        standing.update(graph.without_rows(np.arange(graph.num_nodes), rows()))
    with pytest.raises(InvalidGraph):
        standing.update(social(40))
    assert (standing.nodes, standing.ratio, standing.spread) == before
    with pytest.raises(InvalidRequest, match="`k`"):
        StandingSeeds(graph, 1000)
