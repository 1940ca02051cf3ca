"""Greedy lists against plain ones, every feasible list, and a maximum flow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graph_influence.constrained.assignment import NOBODY, assign
from graph_influence.constrained.completion import complete
from graph_influence.constrained.participants import Participants
from graph_influence.errors import InvalidRequest, UnknownIds
from graph_influence.graph import SocialGraph
from tests.graph_influence.constrained.problems import candidates, covered, feasible, problem, stored
from unlearn.invalid import InvalidInput
from unlearn.vocabulary import Vocabulary

SEEDS = range(40)


def lengths(lists):
    return (lists != NOBODY).sum(1).tolist()


@pytest.mark.parametrize("order", ["rr", "mg"])
@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_lists_are_feasible_and_nobody_is_invited_twice(order, capacity):
    for seed in SEEDS:
        participants = problem(seed, capacity)
        store, _ = stored(participants, 200)
        found = assign(store, participants, order)
        for own, listed in zip(candidates(participants), found.lists, strict=True):
            assert set(listed[listed != NOBODY].tolist()) <= set(own)
        assert len(set(found.rows.tolist())) == len(found.rows) == participants.most


@pytest.mark.parametrize("order", ["rr", "mg"])
def test_coverage_is_within_its_bounds_of_the_best_there_is(order):
    tight = close = 0
    for seed in SEEDS:
        participants = problem(seed)
        store, by_row = stored(participants, 60)
        found = assign(store, participants, order)
        best = max(covered(by_row, rows) for rows in feasible(participants))
        assert found.covered == covered(by_row, found.rows)
        assert best / 2 <= found.covered <= best <= found.above
        tight += found.above == best
        close += found.covered == best
    assert tight >= 10 and close >= 20


@pytest.mark.parametrize("order", ["rr", "mg"])
def test_the_bound_counts_a_shared_candidate_once(order):
    """Two lists of one for the same people, one of whom reaches many: both lists cannot invite that one."""
    shared, many = [2, 3, 4, 5], list(range(6, 15))
    ends = [0] * 4 + [1] * 4 + [2] * 9, shared + shared + many
    participants = Participants.of(SocialGraph.from_arcs(*ends, nodes=15), [0, 1], 1)
    store, by_row = stored(participants, 300)
    found = assign(store, participants, order)
    best = max(covered(by_row, rows) for rows in feasible(participants))
    assert found.covered == found.above == best < 2 * len(by_row[2])


def test_lists_that_were_not_chosen_greedily_bound_nothing_by_what_they_cover():
    beyond = 0
    for seed in SEEDS:
        participants = problem(seed, 1)
        store, by_row = stored(participants, 60)
        least = [min(own, key=lambda row: len(by_row[row]), default=NOBODY) for own in candidates(participants)]
        if len({*least}) < len(least):  # nobody is in two lists
            continue
        found = assign(store, participants, given=np.array(least, dtype=np.int32)[:, None])
        best = max(covered(by_row, rows) for rows in feasible(participants))
        assert best <= found.above
        beyond += best > 2 * found.covered
    assert beyond >= 3


def rounds(participants, found):
    """Round robin by counting everything again: lists of few candidates first, best candidate, highest out-degree."""
    own, degree = candidates(participants), participants.passive.out_degree()
    lists, invited = [[] for _ in own], []
    for _ in range(participants.capacity):
        for u in sorted(range(len(own)), key=lambda u: (len(own[u]), u)):
            left = [row for row in own[u] if row not in invited]
            if left and len(lists[u]) < participants.capacity:
                before = covered(found, invited)
                gain = {row: covered(found, [*invited, row]) - before for row in left}
                best = min(left, key=lambda row: (-gain[row], -degree[row], row))
                lists[u].append(best)
                invited.append(best)
    return lists


def test_round_robin_is_that_of_a_plain_greedy():
    compared = 0
    for seed in range(100):
        participants = problem(seed)
        store, found = stored(participants, 80)
        expected = rounds(participants, found)
        if sum(map(len, expected)) == participants.most:  # nothing is handed on
            lists = assign(store, participants, "rr").lists
            assert [sorted(one[one != NOBODY].tolist()) for one in lists] == [sorted(one) for one in expected]
            compared += 1
    assert compared > 50


def test_a_candidate_of_several_goes_where_there_are_fewest_others():
    graph = SocialGraph.from_arcs([0, 0, 1, 2, 2], [2, 3, 2, 4, 5], [1.0, 1.0, 1.0, 1.0, 1.0], nodes=6)
    participants = Participants.of(graph, [0, 1], 1)
    store, _ = stored(participants, 100)
    assert assign(store, participants, "mg").lists.tolist() == [[3], [2]]


def test_candidates_that_others_took_are_no_longer_counted():
    """2 and 3 gain most and are 1's alone; then 1 has one candidate left and 0 three, so 4, whom both have, is 1's."""
    tails = np.concatenate([[0, 0, 0, 1, 1, 1], np.repeat([2, 3, 4], [12, 8, 4])])
    heads = np.concatenate([[4, 5, 6, 2, 3, 4], np.arange(7, 31)])
    participants = Participants.of(SocialGraph.from_arcs(tails, heads, nodes=31), [0, 1], 3)
    store, _ = stored(participants, 1_000)
    lists = assign(store, participants, "mg").lists.tolist()
    assert lists[1] == [2, 3, 4] and sorted(lists[0]) == [NOBODY, 5, 6]


def test_candidates_are_handed_on_so_that_lists_are_full():
    """0 and 1 both like 3 best; 0 also has 4, and 1 nobody else: only if 0 gives 3 away are both lists full."""
    graph = SocialGraph.from_arcs([0, 0, 1, 3], [3, 4, 3, 5], 1.0, nodes=6)
    participants = Participants.of(graph, [0, 1], 1)
    assert participants.most == 2
    store, _ = stored(participants, 100)
    # With one list the tie is not there to be broken: whoever comes first takes 3.
    reordered = Participants.of(graph, [1, 0], 1)
    for one in (participants, reordered):
        for order in ("rr", "mg"):
            assert sorted(assign(store, one, order).rows.tolist()) == [3, 4]


def test_the_end_of_a_chain_is_whoever_gains_most():
    """List 0 has 3 alone, whom list 1 gives away for the better of 4 and 5."""
    lists, owner = np.array([[NOBODY], [3]], dtype=np.int32), np.array([-1, -1, -1, 1, -1, -1], dtype=np.int32)
    ptr, candidate = np.array([0, 1, 4]), np.array([3, 3, 4, 5], dtype=np.int32)
    added = complete(lists, np.array([0, 1]), ptr, candidate, owner, np.array([0, 0, 0, 0, 1, 7], dtype=np.int32))
    assert lists.tolist() == [[3], [5]] and added.tolist() == [5]


def chain(d):
    """List u has candidates u and u + 1, and all prefer the later: full lists need d - 1 to be handed on."""
    tails = np.concatenate([np.arange(d), np.arange(1, d)])
    heads = np.concatenate([d + np.arange(d), d + np.arange(d - 1)])
    follow = [(d + row, 2 * d + 40 * row + other) for row in range(d) for other in range(40 - row)]
    more = np.array(follow).T
    graph = SocialGraph.from_arcs(np.concatenate([tails, more[0]]), np.concatenate([heads, more[1]]), nodes=42 * d)
    return Participants.of(graph, range(d), 1)


@pytest.mark.parametrize("order", ["rr", "mg"])
def test_handing_on_goes_through_as_many_lists_as_it_takes(order):
    participants = chain(12)
    store, _ = stored(participants, 4_000)
    found = assign(store, participants, order)
    assert lengths(found.lists) == [1] * 12 == [participants.most // 12] * 12


@pytest.mark.parametrize("order", ["rr", "mg"])
def test_what_is_given_stays_where_it_is(order):
    for seed in SEEDS:
        participants = problem(seed)
        store, by_row = stored(participants, 60)
        whole = assign(store, participants, order)
        given = whole.lists.copy()
        given[0] = NOBODY
        again = assign(store, participants, order, given)
        kept = given[1:] != NOBODY
        assert (again.lists[1:][kept] == given[1:][kept]).all()
        assert again.covered == covered(by_row, again.rows) and len(set(again.rows.tolist())) == len(again.rows)
        assert max(covered(by_row, rows) for rows in feasible(participants)) <= again.above


def test_participants_are_who_they_are():
    graph = SocialGraph.from_arcs([0, 0, 0, 1, 2, 3], [1, 2, 3, 2, 3, 4], [0.5, 0.9, 0.1, 0.3, 0.2, 1.0], nodes=5)
    participants = Participants.of(graph, [0, 1], 2)
    assert candidates(participants) == [[2, 3], [2]]
    assert participants.weight.tolist() == [0.9, 0.1, 0.3]
    assert participants.passive.num_alive == 3 and participants.graph.num_alive == 5
    assert participants.most == 2
    assert participants.log_choices == 0.0
    assert Participants.of(graph, [0], 1).log_choices == pytest.approx(np.log(3))


def test_wrong_participants_are_named_at_once():
    graph = SocialGraph.from_arcs([0], [1], nodes=2)
    for active, capacity, texts in (
        ([0, 0], 0, ["named once", "`capacity`"]),
        ([0, 1], 1, ["active and passive"]),
        ([], 1, ["active and passive"]),
    ):
        with pytest.raises(InvalidRequest) as raised:
            Participants.of(graph, active, capacity)
        assert len(raised.value.problems) == len(texts)
        assert all(text in str(raised.value) for text in texts)
    with pytest.raises(UnknownIds):
        Participants.of(graph, [7], 1)
    with pytest.raises(InvalidInput, match="got the str 'ab'"):
        Participants.of(replace(graph, nodes=Vocabulary(["a", "b"])), "ab", 1)
