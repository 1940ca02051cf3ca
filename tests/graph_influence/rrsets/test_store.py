"""The store: names of coins, both ways, sentinels, estimates, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from graph_influence.rrsets import RRSets, sampler
from tests.graph_influence.rrsets.conftest import social, uneven, weighted_cascade
from tests.graph_influence.rrsets.rows import same_rows
from tests.oracles.cascades import random_graph, worlds
from unlearn.invalid import InvalidInput


def listed(store: RRSets) -> list[list[int]]:
    return [store.members[number].tolist() for number in range(len(store))]


def test_many_members_are_drawn_in_parts_between_which_interrupts_are_answered(model, monkeypatch):
    graph, kernel, parts = weighted_cascade(social()), sampler._sample, []
    whole = RRSets(graph, model, seed=4, threads=1)
    whole.grow(500)

    def watched(*arguments):
        done, used = kernel(*arguments)
        parts.append(used)
        return done, used

    monkeypatch.setattr(sampler, "_sample", watched)
    monkeypatch.setattr(sampler, "_ROOM", 20)
    sets = RRSets(graph, model, seed=4, threads=1)
    sets.grow(500)
    assert same_rows(sets.members, whole.members) and sum(parts) == whole.members.used
    assert max(parts[:-1]) <= 20 + graph.num_nodes  # the largest set is no larger than the graph
    assert min(parts[:-1]) > 20


@pytest.mark.parametrize("weights", [weighted_cascade, uneven])
def test_sets_depend_neither_on_batches_nor_on_threads(model, weights):
    graph = weights(social())
    at_once = RRSets(graph, model, seed=5, threads=3)
    at_once.grow(40_000)
    in_batches = RRSets(graph, model, seed=5, threads=1)
    for count in (1, 0, 299, 9_700, 30_000):
        in_batches.grow(count)
    assert listed(at_once) == listed(in_batches)
    assert np.array_equal(at_once.sets.length, in_batches.sets.length)
    assert np.array_equal(at_once.sets.data[: at_once.sets.used], in_batches.sets.data[: in_batches.sets.used])


def test_another_seed_gives_other_sets_and_the_same_seed_the_same(model):
    graph = weighted_cascade(social())
    one, same, other = (RRSets(graph, model, seed=seed) for seed in (1, 1, 2))
    for store in (one, same, other):
        store.grow(500)
    assert listed(one) == listed(same)
    assert sum(a == b for a, b in zip(listed(one), listed(other), strict=True)) < 50


def test_a_set_has_distinct_members_that_reach_its_root_through_members(model):
    graph = uneven(social())
    store = RRSets(graph, model)
    store.grow(2_000)
    roots = [members[0] for members in listed(store)]
    assert len(set(roots)) > 200
    for members in listed(store):
        assert len(set(members)) == len(members)
        for place, member in enumerate(members[1:], start=1):
            followers = graph.target[graph.source == member]
            assert np.isin(followers, members[:place]).any()


def test_the_index_lists_the_sets_of_each_node_in_order(model):
    graph = weighted_cascade(social())
    store = RRSets(graph, model)
    store.grow(3_000)
    assert np.array_equal(store.sets.length, np.bincount(np.concatenate(listed(store)), minlength=graph.num_nodes))
    store.grow(2_000)  # and follows
    containing: list[list[int]] = [[] for _ in range(graph.num_nodes)]
    for number, members in enumerate(listed(store)):
        for member in members:
            containing[member].append(number)
    assert [store.sets[node].tolist() for node in range(graph.num_nodes)] == containing


def test_coverage_counts_sets_with_and_without_the_index(model):
    graph = weighted_cascade(social())
    store = RRSets(graph, model)
    store.grow(3_000)
    rows = [0, 7, 7, 120]
    hit = sum(not set(rows).isdisjoint(members) for members in listed(store))
    assert store.coverage(rows) == hit > 0
    assert len(store.sets) and store.coverage(rows) == hit
    assert store.coverage([]) == 0
    assert store.coverage(range(graph.num_nodes)) == 3_000


@pytest.mark.parametrize("weights", [weighted_cascade, uneven])
def test_sentinels_cut_the_same_sets_short(model, weights):
    graph = weights(social())
    sentinels = [0, 3, 50]
    whole, cut = RRSets(graph, model, seed=3), RRSets(graph, model, seed=3, sentinels=sentinels)
    for store in (whole, cut):
        store.grow(5_000)
    expected, covered = [], []
    for members in listed(whole):
        met = np.flatnonzero(np.isin(members, sentinels))
        expected.append(members[: met[0] + 1] if len(met) else members)
        covered.append(len(met) > 0)
    assert listed(cut) == expected
    assert cut.covered.tolist() == covered
    assert not whole.covered.any()
    for rows in (sentinels, [*sentinels, 8, 100]):
        assert cut.coverage(rows) == whole.coverage(rows)
    with pytest.raises(InvalidInput, match="all sentinels of truncated sets \\(2 are missing\\)"):
        cut.coverage([3, 8])


def test_the_spread_is_right_and_its_interval_as_wide_as_it_says(model):
    inside = 0
    for seed in range(100):
        graph = random_graph(seed, model)
        store = RRSets(graph, model, seed=seed)
        store.grow(400)
        found = store.spread([0], confidence=0.9)
        truth = worlds(graph, model).spread([0])
        assert found.mean == pytest.approx(graph.num_nodes * store.coverage([0]) / 400)
        assert 0 <= found.low <= found.mean <= found.high <= graph.num_nodes
        inside += found.low <= truth <= found.high
    assert 80 <= inside <= 99  # 90 expected


def test_the_spread_counts_who_is_there(model):
    for seed in range(20):
        graph = random_graph(seed, model)
        gone = graph.num_nodes - 1
        store = RRSets(graph, model, seed=seed)
        store.grow(4_000)
        left = graph.without_rows(np.array([gone]), np.empty(0, dtype=np.int64))
        store.update(left)
        found = store.spread([0], confidence=0.9999)
        assert found.low <= worlds(left, model).spread([0]) <= found.high <= gone
        assert store.spread(range(gone)).mean == gone


def test_the_interval_of_a_share_of_none_or_of_all_ends_there():
    store = RRSets(SocialGraph.from_arcs([], [], nodes=3))
    for _ in range(200):
        store.grow(1)
        nobody, everybody = store.spread([]), store.spread(range(3))
        assert (nobody.low, nobody.mean) == (0, 0) and 0 < nobody.high < 3
        assert (everybody.high, everybody.mean) == (3, 3) and 0 < everybody.low < 3


def test_arcs_of_small_unequal_probability_are_live_as_often_as_they_say():
    n = 60
    p = np.sort(np.random.default_rng(0).uniform(0.0005, 0.3, size=n))[::-1]
    graph = SocialGraph.from_arcs(np.arange(1, n + 1), np.zeros(n, dtype=int), p, nodes=n + 1)
    store = RRSets(graph)
    store.grow(400_000)
    roots = store.members.data[store.members.start]
    theta = int((roots == 0).sum())
    seen = store.sets.length[graph.source] - np.bincount(roots, minlength=n + 1)[graph.source]
    z = (seen - theta * graph.probability) / np.sqrt(theta * graph.probability * (1 - graph.probability))
    assert abs((z**2).sum() - n) < 4 * np.sqrt(2 * n)
    together = sum({5, 6} <= set(store.members[k].tolist()) for k in np.flatnonzero(roots == 0).tolist())
    expected = theta * p[4] * p[5]
    assert abs(together - expected) < 4 * np.sqrt(expected)


def test_probabilities_of_nothing_and_of_one():
    sure = SocialGraph.from_arcs([0, 1, 2], [1, 2, 3], [1.0, 1.0, 0.0], nodes=4)
    store = RRSets(sure)
    store.grow(1_000)
    assert {members[0]: members for members in listed(store)} == {0: [0], 1: [1, 0], 2: [2, 1, 0], 3: [3]}


def test_roots_are_who_is_there(model):
    graph = weighted_cascade(social().without_rows(np.arange(1, 300, 2), np.empty(0, dtype=np.int64)))
    store = RRSets(graph, model)
    store.grow(20_000)
    roots = store.members.data[store.members.start]
    seen = np.bincount(roots, minlength=300)
    assert not seen[1::2].any()
    assert abs(((seen[::2] - 20_000 / 150) ** 2 / (20_000 / 150)).sum() - 149) < 4 * np.sqrt(2 * 149)


def test_refusals():
    graph = SocialGraph.from_arcs([0, 1, 0], [2, 2, 1], [0.7, 0.7, 0.5], nodes=3)
    with pytest.raises(InvalidGraph, match="sum to at most 1 \\(1 bad, node 2\\)"):
        RRSets(graph, "lt")
    with pytest.raises(InvalidInput, match="`model` .*ic, lt \\(got 'sir'\\); `seed` must be .*; `threads` must"):
        RRSets(graph, "sir", seed=-1, threads=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInput, match="from 0 to 2 \\(got 1 to 3\\)"):
        RRSets(graph, sentinels=[1, 3])
    store = RRSets(graph)
    for count in (-1, 2**31):
        with pytest.raises(InvalidInput, match="`count`"):
            store.grow(count)
    with pytest.raises(InvalidInput, match="0 people"):
        RRSets(graph.without_rows(np.arange(3), np.empty(0, dtype=np.int64))).grow(1)
    assert len(store) == 0 and np.isnan(store.spread([0]).mean)
