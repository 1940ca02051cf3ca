"""The exact greedy against a plain one, and its upper bound against every choice there is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import ranked
from graph_influence.maximize.coverage import greedy
from graph_influence.rrsets import RRSets
from tests.graph_influence.maximize.graphs import social
from tests.oracles.cascades import random_graph


def holders(sets):
    """The numbers of the sets that hold each row."""
    found = [set() for _ in range(sets.graph.num_nodes)]
    for number in range(len(sets)):
        for row in sets.members[number].tolist():
            found[row].add(number)
    return found


def plain_greedy(found, k, allowed, tolerance=0.0):
    """Picks and coverage of each prefix, and the bound, by counting everything again each time."""
    covered, rows, prefix, above = set(), [], [0], []
    for _ in range(k + 1):
        gains = {row: len(found[row] - covered) for row in allowed if row not in rows}
        above.append(len(covered) + sum(sorted(gains.values())[-k:]))
        if len(rows) < k:
            least = max(gains.values()) - tolerance * max(gains.values()) ** 0.5
            rows.append(min((row for row in gains if gains[row] >= least), key=allowed.index))
            covered |= found[rows[-1]]
            prefix.append(len(covered))
    return rows, prefix, min(above)


@pytest.mark.parametrize("sets", [1, 10, 300])
@pytest.mark.parametrize("k", [1, 5, 60])
def test_picks_coverage_and_bound_are_those_of_a_plain_greedy(sets, k):
    graph = social(60)
    store = RRSets(graph, seed=sets)
    store.grow(sets)
    order = ranked(graph)
    found = greedy(store, k, order)
    rows, prefix, above = plain_greedy(holders(store), k, order.tolist())
    assert found.rows.tolist() == rows
    assert found.prefix.tolist() == prefix
    assert found.above == above


def test_nobody_covers_more_than_the_bound():
    tight = 0
    for seed in range(60):
        graph = random_graph(seed)
        store = RRSets(graph, seed=seed)
        store.grow(40)
        by_row = holders(store)
        for k in (1, 2, 3):
            if k > graph.num_nodes:
                continue
            found = greedy(store, k, ranked(graph))
            best = max(len(set.union(*(by_row[row] for row in rows))) for rows in combinations(range(len(by_row)), k))
            assert found.covered <= best <= found.above
            assert found.covered >= (1 - np.exp(-1)) * best
            tight += found.above == best
    assert tight > 50  # it is no bound like the number of sets


def test_only_allowed_rows_are_picked_even_when_nothing_is_left_to_gain():
    graph = SocialGraph.from_arcs([0, 0, 0], [1, 2, 3], 1.0, nodes=6)
    store = RRSets(graph, seed=1)
    store.grow(50)
    allowed = np.array([5, 0, 2], dtype=np.int32)
    found = greedy(store, 3, allowed)
    assert found.rows.tolist()[0] == 0
    assert sorted(found.rows.tolist()) == [0, 2, 5]


def test_cut_sets_lead_to_the_same_choice_as_whole_ones():
    """Sets that are cut where they meet the first seeds cover and rank the rest as whole sets of the same draws do."""
    graph, k = social(), 8
    order = ranked(graph)
    whole = RRSets(graph, seed=4)
    whole.grow(3_000)
    first = greedy(whole, k, order).rows[:3]
    cut = RRSets(graph, seed=4, sentinels=first)
    cut.grow(3_000)
    assert cut.members.used < 0.8 * whole.members.used
    from_cut, from_whole = greedy(cut, k, order, first), greedy(whole, k, order, first)
    assert from_cut.rows.tolist() == from_whole.rows.tolist()
    assert from_cut.covered == from_whole.covered
    assert from_cut.above >= from_whole.above  # fewer prefixes are known


def test_gains_within_the_noise_count_as_equal():
    graph = social()
    store = RRSets(graph, seed=2)
    store.grow(40)
    order = ranked(graph)
    found = greedy(store, 12, order, tolerance=1.0)
    rows, prefix, above = plain_greedy(holders(store), 12, order.tolist(), tolerance=1.0)
    assert (found.rows.tolist(), found.prefix.tolist(), found.above) == (rows, prefix, above)
    # Ranks say that people of more arcs were taken.
    assert found.rows.tolist() != greedy(store, 12, order).rows.tolist()
    assert graph.out_degree()[found.rows].sum() > graph.out_degree()[greedy(store, 12, order).rows].sum()
