"""When to stop: the rules one by one, and what is wrong with their arguments."""

from __future__ import annotations

import time
from math import exp
from types import SimpleNamespace

import pytest

from graph_influence.constrained import Cim, HeteroIM
from graph_influence.constrained.participants import Participants
from graph_influence.errors import InvalidRequest
from graph_influence.maximize import Hist, Imm, Opim, bounds
from graph_influence.maximize.judged import Collections
from graph_influence.maximize.stopping import Budget, Evidence, Guarantee, Share, StandingShare
from tests.graph_influence.maximize.graphs import social


def evidence(low, attainable=0.9):
    return Evidence(low=low, high=100.0, attainable=attainable)


def test_a_guarantee_is_reached_by_evidence_or_by_enough_sets():
    rule = Guarantee(ratio=0.5, looks=4, delta=0.01)
    assert rule.done(1, evidence(50.0)) and not rule.done(1, evidence(49.9))
    assert rule.done(4, evidence(10.0))
    assert rule.certified(4, evidence(10.0)) == 0.5
    assert rule.certified(4, evidence(60.0)) == 0.6
    assert rule.certified(3, evidence(10.0)) == 0.1
    # Two bounds a look, and that so many sets are not enough.
    assert 4 * 2 * exp(-rule.log_inverse(1)) + 0.01 / 3 == pytest.approx(0.01)


def test_a_standing_share_spends_no_more_than_delta_for_all_the_sizes_that_its_sets_may_have():
    """Look t is at sets that were found enough at look 1, or 2, ..., or are looked at for the first time."""
    rule, delta = StandingShare(share=0.5, delta=0.01), 0.01
    spent = sum(2 * exp(-rule.log_inverse(found + later)) for found in range(1, 200) for later in range(2_000))
    assert 0.99 * delta < spent <= delta


@pytest.mark.parametrize("method", [Opim(eps=0.3), Hist(eps=0.4, delta=0.1), Cim(eps=0.3)], ids=str)
def test_the_last_look_is_at_as_many_sets_as_the_guarantee_takes(method, monkeypatch):
    """Where the sets prove nothing, there are in the end as many that choose as the papers ask for."""
    graph, k, seen = social(60), 16, list[tuple[int, int]]()

    def nothing(pair, *_):
        seen.append((len(pair.selection), int(pair.selection._sentinel.sum())))
        return Evidence(low=0.0, high=1.0, attainable=1.0)

    monkeypatch.setattr(Collections, "evidence", nothing)
    if isinstance(method, Cim):
        answer, n, ratio = method.invite(graph, ["p0", "p1"], 4), 58, 0.5
        lists = Participants.of(graph, ["p0", "p1"], 4)
        choices, least = lists.log_choices, lists.most
    else:
        answer, n, ratio = method.maximize(graph, k), 60, bounds.GREEDY
        choices, least = bounds.log_binomial(n, k), k
    delta = method.delta or 1 / n
    first = int(bounds.sets_enough(n, ratio, choices, n, 1.0, delta))
    enough = bounds.sets_enough(n, ratio, choices, least, method.eps, delta)
    if isinstance(method, Hist):
        sentinels = seen[-1][1]
        assert sentinels > 0
        enough = bounds.hist_sets(n, k, sentinels, method.eps / 2, delta / 2)
    assert [sets for sets, _ in seen] == [4 * first * 2**look for look in range(len(seen))]
    assert len(seen) > 1 and seen[-1][0] >= enough
    assert answer.ratio == ratio - method.eps


def test_a_share_is_of_what_is_attainable():
    rule = Share(share=0.5, delta=0.01)
    assert rule.done(9, evidence(45.0)) and not rule.done(9, evidence(44.0))
    assert rule.done(9, evidence(30.0, attainable=0.6))
    assert rule.log_inverse(1) < rule.log_inverse(2)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_the_answer_has_the_share_that_was_asked_for(share):
    answer = Opim(share=share).maximize(social(), 10)
    assert answer.ratio is not None and answer.ratio > share * 0.8


def test_eps_stops_where_the_ratio_is_proven():
    loose, tight = (Opim(eps=eps).maximize(social(), 10) for eps in (0.3, 0.05))
    assert loose.ratio is not None and tight.ratio is not None
    assert loose.ratio >= bounds.GREEDY - 0.3
    assert tight.ratio >= bounds.GREEDY - 0.05
    assert loose.sets < tight.sets


@pytest.mark.parametrize("rule", [Share(share=0.5, delta=0.01), Budget(seconds=1.0, delta=0.01)])
def test_however_many_looks_are_taken_they_spend_no_more_than_delta(rule):
    spent = sum(2 * exp(-rule.log_inverse(look)) for look in range(1, 100_000))
    assert 0.9999 * 0.01 < spent <= 0.01


@pytest.mark.parametrize(("seconds", "looks"), [(14.9, 3), (15.1, 4)])
def test_a_budget_ends_before_the_look_that_would_exceed_it(seconds, looks, monkeypatch):
    """Looks take 1, 2 and 4 seconds, so the next would take 8 and end after 15."""
    clock = iter([100, 101, 103, 107, 115])
    monkeypatch.setattr("graph_influence.maximize.stopping.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    rule = Budget(seconds, 0.1)
    assert [rule.done(look, evidence(0.0)) for look in range(1, looks + 1)] == [False] * (looks - 1) + [True]


@pytest.mark.parametrize("method", [Opim, Hist])
def test_a_budget_is_kept(method):
    method(seconds=0.01).maximize(social(), 10)  # compiled
    began = time.perf_counter()
    answers = [method(seconds=seconds).maximize(social(), 10) for seconds in (1e-9, 0.6)]
    assert time.perf_counter() - began < 3.0
    assert answers[0].sets < answers[1].sets
    assert answers[0].ratio < answers[1].ratio


@pytest.mark.parametrize("method", [Opim, Hist])
def test_arguments_out_of_range_are_listed(method):
    with pytest.raises(InvalidRequest) as raised:
        method(eps=0.7, share=1.5, delta=0.0).maximize(social(), 1)
    text = str(raised.value)
    assert len(raised.value.problems) == 4
    assert all(name in text for name in ("at most one of", "`eps`", "`share`", "`delta`"))


@pytest.mark.parametrize("tiny", [5e-324, 1e-200, 1e-160])
def test_what_no_number_of_sets_can_prove_is_out_of_range_too(tiny):
    for method, field in ((Opim, "eps"), (Hist, "eps"), (Imm, "eps")):
        with pytest.raises(InvalidRequest, match=f"`{field}` must be above 1e-09 and below 0.6321"):
            method(**{field: tiny}).maximize(social(), 1)
    with pytest.raises(InvalidRequest, match="`eps` must be above 1e-09 and below inf"):
        HeteroIM(eps=tiny).recommend(social(), ["p0"], 1)
    with pytest.raises(InvalidRequest, match="`exponent` must be above 0 and below 100"):
        Imm(exponent=1e308).maximize(social(), 1)
    for method in (Opim, Hist):  # at the end of the range everything is a number still
        assert 0 < method(eps=0.5, delta=1e-299).maximize(social(), 1).ratio < 1
        assert 0 < method(eps=1e-8, delta=0.5).maximize(social(), 1).ratio < 1
    with pytest.raises(InvalidRequest, match="`delta` must be above 1e-300"):
        Opim(delta=5e-324).maximize(social(), 1)


@pytest.mark.parametrize("when", [{}, {"eps": 0.1}, {"seconds": 1.0}], ids=str)
def test_a_proof_is_wrong_once_in_as_many_times_as_there_are_people_unless_told_otherwise(when):
    for delta, expected in ((None, 1 / 300), (0.2, 0.2)):
        rule, _ = Opim(delta=delta, **when).rule_for(300, 10)
        assert rule.delta == expected
