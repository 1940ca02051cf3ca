"""What no choice can beat, against every choice in the same worlds and in all worlds."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from graph_influence.errors import InvalidBlocking
from graph_influence.graph import SocialGraph
from graph_influence.minimize import Optimality, Outbreak, minimizer, optimality
from graph_influence.outbreak import Worlds
from tests.graph_influence.minimize.contract import least_spread, spread_without
from tests.oracles.cascades import random_graph

BOTH = [(unit, model) for unit in ("arcs", "nodes") for model in ("ic", "lt")]
SMALL = {"samples": 300, "batches": 2}


def outbreaks(unit: str, model: str, count: int) -> list[Outbreak]:
    """So many small ones in which something spreads and more than two units can be taken."""
    found, seed = list[Outbreak](), 0
    while len(found) < count:
        graph = random_graph(seed, model)
        seeds = np.arange(min(2, max(1, graph.num_nodes - 2)))
        outbreak = Outbreak(graph, seeds, unit, model)  # pyright: ignore[reportArgumentType]
        if outbreak.removable.sum() > 2 and spread_without(outbreak, []) > len(seeds) + 0.2:
            found.append(outbreak)
        seed += 1
    return found


def choices(outbreak: Outbreak, budget: int) -> list[list[int]]:
    return [list(one) for one in combinations(np.flatnonzero(outbreak.removable).tolist(), budget)]


def whole(outbreak: Outbreak, chosen: list[int]) -> np.ndarray:
    shares = np.zeros(outbreak.units)
    shares[chosen] = 1.0
    return shares


def shares_of(outbreak: Outbreak, random: np.random.Generator, budget: int) -> np.ndarray:
    """Shares that sum to the budget or less, some of them 0."""
    shares = np.where(outbreak.removable, random.uniform(size=outbreak.units), 0.0)
    shares *= random.uniform(size=outbreak.units) < 0.7
    return np.minimum(1.0, shares * budget / max(shares.sum(), budget))


@pytest.mark.parametrize(("unit", "model"), BOTH)
def test_taken_whole_the_relaxed_spread_is_the_spread(unit, model):
    for outbreak, backward in product(outbreaks(unit, model, 8), (False, True)):
        worlds = Worlds(outbreak, 200, 5, backward=backward)
        for chosen in ([], *choices(outbreak, 2)[:10]):
            spread, _ = worlds.fractional(whole(outbreak, chosen))
            assert spread == pytest.approx(worlds.drops(chosen)[0], abs=1e-12)


@pytest.mark.parametrize(("unit", "model"), BOTH)
def test_planes_lie_below_every_choice_and_touch(unit, model):
    random = np.random.default_rng(0)
    for outbreak in outbreaks(unit, model, 6):
        worlds = Worlds(outbreak, 100, 5)
        left = [(whole(outbreak, one), worlds.drops(one)[0]) for one in choices(outbreak, 2)]
        for _ in range(5):
            shares = shares_of(outbreak, random, 2)
            spread, slope = worlds.fractional(shares)
            assert all(spread + slope @ (one - shares) <= value + 1e-9 for one, value in left)
            # The relaxed spread is differentiable where all ways differ in length, as shares at random make them.
            step = 1e-7 * np.where(shares > 0, random.normal(size=outbreak.units), 0.0)
            assert worlds.fractional(shares + step)[0] - spread == pytest.approx(slope @ step, abs=1e-12)


def test_shares_lengthen_the_shortest_way():
    """Two ways lead from 0 to 3, of .2 + .3 and of .6; 4 hangs on 3 by .4, and 5 on 4 by .2."""
    graph = SocialGraph.from_arcs([0, 1, 0, 3, 4], [1, 3, 3, 4, 5], np.ones(5), nodes=6)
    arcs = {pair: int(graph.arcs([pair])[0]) for pair in ((0, 1), (1, 3), (0, 3), (3, 4), (4, 5))}
    shares = np.zeros(5)
    shares[[arcs[pair] for pair in arcs]] = [0.2, 0.3, 0.6, 0.4, 0.2]
    spread, slope = Worlds(Outbreak(graph, np.array([0])), 3, 0).fractional(shares)
    assert spread == pytest.approx(1 + 0.8 + 0.5 + 0.1)  # 5 is at 1.1
    assert slope[[arcs[pair] for pair in arcs]].tolist() == [-3, -2, 0, -1, 0]
    shares = np.array([0, 0.2, 0, 0.3, 0.6, 0.2])
    spread, slope = Worlds(Outbreak(graph, np.array([0]), "nodes"), 3, 0).fractional(shares)
    assert spread == pytest.approx(1 + 0.8 + 0.7 + 0.1) and slope.tolist() == [0, -1, 0, -2, -1, 0]


@pytest.mark.parametrize("rounds", [1, 50])
@pytest.mark.parametrize(("unit", "model"), BOTH)
def test_in_the_same_worlds_no_choice_is_below_the_bound(unit, model, rounds, monkeypatch):
    """Not on the mean, but each time: this is a theorem. The sampled worlds are taken down as they are made."""
    made = list[Worlds]()

    def taken_down(*given):
        made.append(Worlds(*given))
        return made[-1]

    monkeypatch.setattr("graph_influence.minimize.bound.Worlds", taken_down)
    slack = []
    for outbreak in outbreaks(unit, model, 10):
        made.clear()
        every = choices(outbreak, 2)
        bound = optimality(outbreak, every[-1], rounds=rounds, **SMALL)
        best = np.mean([min(worlds.drops(one)[0] for one in every) for worlds in made])
        after = np.mean([worlds.drops(every[-1])[0] for worlds in made])
        before = np.mean([worlds.drops([])[0] for worlds in made])
        assert bound.after.mean == pytest.approx(after) and (bound.samples, bound.after.runs) == (300, 2)
        assert bound.gap.mean == pytest.approx(after - bound.least.mean)
        assert bound.least.mean <= best + 1e-9
        slack.append((best - bound.least.mean) / (before - len(outbreak.seeds)))
    if rounds == 50:
        assert np.mean(slack) < 0.05  # and it is worth something


@pytest.mark.parametrize(("unit", "model"), BOTH)
def test_the_best_of_all_choices_is_not_below_the_bound(unit, model):
    scores, budget = [], 2 if unit == "arcs" else 1  # without two nodes little is left of such graphs
    for outbreak in outbreaks(unit, model, 16):
        bound = optimality(outbreak, choices(outbreak, budget)[0], samples=1_000, batches=5)
        best, before = least_spread(outbreak, budget), spread_without(outbreak, [])
        at_most = bound.reduced_ratio_at_most
        if bound.least.standard_error > 1e-6:
            scores.append((bound.least.mean - best) / bound.least.standard_error)
            share = (before - best) / (before - len(outbreak.seeds))
            assert share <= at_most.mean + 6 * at_most.standard_error
    assert len(scores) > 5 and np.mean(scores) < 3 / len(scores) ** 0.5


def star() -> Outbreak:
    """Arm k of a rumour's start leads to k people in a row."""
    tails = [0 if place == 0 else 10 * arm + place for arm in range(1, 7) for place in range(arm)]
    heads = [10 * arm + place + 1 for arm in range(1, 7) for place in range(arm)]
    return Outbreak(SocialGraph.from_arcs(tails, heads, np.full(len(tails), 0.9), nodes=80), np.array([0]))


def test_where_there_is_one_way_to_everybody_the_best_choice_is_proven():
    outbreak = star()
    best = minimizer("advanced_greedy").choose(outbreak, 2)
    bound = optimality(outbreak, best, samples=5_000)
    assert bound.gap.mean == pytest.approx(0, abs=1e-3 * bound.after.mean)
    exact = (spread_of_arms(6) - spread_of_arms(4)) / (spread_of_arms(6) - 1)
    assert bound.reduced_ratio_at_most.mean == pytest.approx(exact, abs=5 * bound.reduced_ratio_at_most.standard_error)
    other = optimality(outbreak, outbreak.adjacent.nonzero()[0][:2].tolist(), samples=5_000)  # the two shortest arms
    assert other.least.mean == pytest.approx(bound.least.mean, rel=2e-3)
    assert other.gap.mean == pytest.approx(other.after.mean - bound.after.mean, rel=0.02)
    assert other.gap.mean > 5


def spread_of_arms(arms: int) -> float:
    return 1 + sum(0.9**place for arm in range(1, arms + 1) for place in range(1, arm + 1))


def test_the_same_seed_gives_the_same_bound_on_any_number_of_threads(monkeypatch):
    random = np.random.default_rng(0)
    graph = SocialGraph.from_arcs(*random.integers(60, size=(2, 240)), random.uniform(0.1, 0.4, 240), nodes=60)
    outbreak = Outbreak(graph, np.array([3, 9, 40]))

    def bound(threads: int, samples: int, seed: int) -> Optimality:
        monkeypatch.setattr("unlearn.parallel.config.NUMBA_NUM_THREADS", threads)
        return optimality(outbreak, [1, 2], samples=samples, batches=2, seed=seed)

    for samples in (300, 2_000):  # threads share the one, and take blocks of a size from the other
        assert bound(1, samples, 0) == bound(3, samples, 0) == bound(8, samples, 0) != bound(1, samples, 1)


def test_where_nothing_spreads_nothing_can_be_reduced():
    graph = SocialGraph.from_arcs([1, 2], [0, 1], np.ones(2), nodes=3)
    bound = optimality(Outbreak(graph, np.array([0])), [0], **SMALL)
    assert (bound.least.mean, bound.gap.mean, bound.reduced_ratio_at_most.mean) == (1, 0, 0)


def test_everything_that_is_wrong_is_told_at_once():
    outbreak = outbreaks("nodes", "ic", 1)[0]
    with pytest.raises(InvalidBlocking) as caught:
        optimality(outbreak, [0], samples=0, batches=1, rounds=0)  # 0 is a seed
    assert [problem.split("`")[1] for problem in caught.value.problems] == ["chosen", "samples", "batches", "rounds"]
    for chosen in ([], [-1], [10**6], [3, 3]):
        with pytest.raises(InvalidBlocking, match="different nodes that can be taken away"):
            optimality(outbreak, chosen)
