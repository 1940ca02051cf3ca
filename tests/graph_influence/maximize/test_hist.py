"""HIST: sentinels that are proven, sets that are short, and seeds that are no worse."""

from __future__ import annotations

from itertools import cycle, repeat
from math import ceil, exp, inf, log

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from graph_influence.maximize import Hist, Opim, bounds
from graph_influence.maximize.base import ranked
from graph_influence.maximize.coverage import Greedy, greedy
from graph_influence.maximize.evaluation import evaluated
from graph_influence.rrsets import RRSets
from tests.graph_influence.maximize.graphs import social


def dense(n=600, arcs=20, p=0.05):
    """A graph in which one set holds hundreds of people."""
    random = np.random.default_rng(1)
    heads = np.repeat(np.arange(n), arcs)
    tails = (n * random.uniform(size=len(heads)) ** 2).astype(np.int64)
    return SocialGraph.from_arcs(tails, heads, p, nodes=n, undirected=True)


def test_sets_are_a_small_part_of_whole_ones(monkeypatch):
    graph, drawn = dense(), {}

    def grow(self, count, draw=RRSets.grow):
        before = self.members.used
        draw(self, count)
        kind = "cut" if self._sentinel.any() else "whole"
        members, sets = drawn.get(kind, (0, 0))
        drawn[kind] = members + self.members.used - before, sets + count

    monkeypatch.setattr(RRSets, "grow", grow)
    Hist(eps=0.1).maximize(graph, 50)
    (whole, few), (cut, many) = drawn["whole"], drawn["cut"]
    assert many > 10 * few
    assert cut / many < 0.15 * whole / few


def test_seeds_are_as_good_as_without_cutting():
    graph = dense()
    spreads = [
        [evaluated(graph, graph.nodes.rows(method(eps=0.1, seed=seed).maximize(graph, 50).nodes), "ic", 9).mean]
        for method in (Hist, Opim)
        for seed in range(4)
    ]
    ours, plain = np.mean(spreads[:4]), np.mean(spreads[4:])
    assert ours > 0.99 * plain


@pytest.mark.parametrize("k", [2, 8, 50])
def test_sentinels_reach_what_is_claimed_of_them(k):
    graph, eps = dense(), 0.05
    best = Hist(share=0.8).maximize(graph, k).spread.high
    for seed in range(5):
        sentinels, sets = Hist(eps=2 * eps, seed=seed)._sentinels(graph, k, ranked(graph), 0.01)
        assert 1 <= len(sentinels) <= max(k // 8, 1) and sets > 0
        reached = evaluated(graph, sentinels, "ic", 5).mean
        assert reached >= (1 - (1 - 1 / k) ** len(sentinels) - eps) * best


def test_every_look_proves_by_coins_that_nobody_chose_by(monkeypatch):
    seeds = list[int]()

    def noted(*given, **options) -> RRSets:
        seeds.append(options["seed"])
        return RRSets(*given, **options)

    monkeypatch.setattr("graph_influence.maximize.hist.RRSets", noted)
    monkeypatch.setattr(RRSets, "coverage", lambda *_: 0)
    Hist()._sentinels(graph := dense(200), 8, ranked(graph), 0.01)
    assert len(seeds) > 2 and len({*seeds}) == len(seeds)


def test_one_seed_needs_no_sentinels():
    assert len(Hist()._sentinels(dense(60), 1, ranked(dense(60)), 0.01)[0]) == 0


def test_a_wide_eps_takes_sentinels_without_asking_anything_of_them():
    sentinels, _ = Hist(eps=0.5)._sentinels(dense(), 16, ranked(dense()), 0.01)
    assert len(sentinels) == 2


def test_each_phase_spends_two_thirds_of_its_half_of_delta_on_bounds_of_looks(monkeypatch):
    """Where nothing is ever proven and all looks are taken; the last thirds are for there being enough sets then."""
    spent, above = list[float](), bounds.spread_above

    def noted(*given):
        spent.append(2 * exp(-given[-1]))
        return above(*given)

    monkeypatch.setattr(bounds, "spread_above", noted)
    monkeypatch.setattr(bounds, "spread_below", lambda *_: -inf)
    n, k, eps, delta = 60, 8, 0.5, 0.1
    assert Hist(eps=eps, delta=delta).maximize(social(n), k).ratio == bounds.GREEDY - eps
    assert sum(spent) == pytest.approx(delta * 2 / 3)
    choices = bounds.log_binomial(n, k)
    whole = bounds.sets_enough(n, bounds.GREEDY, choices, k, eps / 2, delta / 2)
    cut = bounds.hist_sets(n, k, 0, eps / 2, delta / 2)
    first = bounds.sets_enough(n, bounds.GREEDY, choices, n, 1, delta)
    looks = bounds.doublings(whole, ceil(3 * log(2 / delta))), bounds.doublings(cut, first)
    assert len(spent) == sum(looks) and min(looks) > 3


def test_the_longest_prefix_that_reaches_what_it_must_is_taken(monkeypatch):
    """Of 24 seeds, b must reach 1 - (23/24)^b - eps / 2 of the best, which is 1 here; fresh sets say what they do."""
    graph, k, eps = social(60), 24, 0.06
    needed = [1 - (23 / 24) ** b - eps / 2 for b in range(4)]
    seen, asked = list[int](), list[float]()

    def noted(*given, **options) -> Greedy:
        found = greedy(*given, **options)
        seen.append(found.above)
        return found

    monkeypatch.setattr("graph_influence.maximize.hist.greedy", noted)
    monkeypatch.setattr(bounds, "doublings", lambda *_: 2)
    monkeypatch.setattr(bounds, "spread_above", lambda above, *_: asked.append(above) or 1.0)
    for chosen, fresh, longest in (
        (1.0, needed[3] + 1e-9, 3),
        (1.0, needed[3] - 1e-9, 0),
        (needed[2] + 1e-9, 1.0, 2),
        (needed[1] - 1e-9, 1.0, 0),
    ):
        # Each look asks of three prefixes what those sets say that chose them, then of one what fresh ones do.
        told = cycle([chosen, chosen, chosen, fresh]) if chosen >= needed[1] else repeat(chosen)
        monkeypatch.setattr(bounds, "spread_below", lambda *_, told=told: next(told))
        assert len(Hist(eps=eps)._sentinels(graph, k, ranked(graph), 0.01)[0]) == longest
    assert asked == seen  # the best is bounded by what nobody covers more of


def test_who_does_not_stand_the_test_on_fresh_sets_is_no_sentinel(monkeypatch):
    """The choosing sets, which flatter whom they chose, prove nothing."""
    graph = dense(200)
    assert len(Hist()._sentinels(graph, 8, ranked(graph), 0.01)[0])
    monkeypatch.setattr(RRSets, "coverage", lambda *_: 0)
    assert not len(Hist()._sentinels(graph, 8, ranked(graph), 0.01)[0])
