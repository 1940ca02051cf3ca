from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graph_influence.coins import coin, coin_steps, steps, stream
from graph_influence.diffusion import diffusion
from graph_influence.graph import SocialGraph
from graph_influence.rrsets import RRSets
from graph_influence.schemes import weighted_cascade
from unlearn.compiled import kernel


@kernel
def table(seed, runs, arcs):
    found = np.empty((runs, arcs))
    for run in range(runs):
        for arc in range(arcs):
            found[run, arc] = coin(stream(np.uint64(seed), np.uint64(run)), np.uint64(arc))
    return found


def test_coins_are_uniform_and_those_of_other_runs_arcs_and_seeds_are_others():
    found = table(3, 400, 500)
    assert stats.kstest(found.ravel(), "uniform").pvalue > 0.01
    assert len(np.unique(found)) == found.size
    for shifted in (found[1:] - found[:-1], found[:, 1:] - found[:, :-1], found - table(4, 400, 500)):
        # The difference of two independent ones is triangular: its square has mean 1/6 and variance 7/180.
        assert abs(np.mean(shifted**2) - 1 / 6) < 4 * np.sqrt(7 / 180 / shifted.size)
    corner = ((found[:-1, :-1] < 0.1) & (found[1:, 1:] < 0.1)).mean()
    assert abs(corner - 0.01) < 4 * np.sqrt(0.01 / found.size)


def test_a_coin_is_below_a_probability_exactly_where_its_steps_are():
    key = np.uint64(stream(np.uint64(1), np.uint64(2)))
    for arc in range(200):
        tossed = coin(key, np.uint64(arc))
        assert tossed == coin_steps(key, np.uint64(arc)) * 2.0**-53
        for p in (tossed, np.nextafter(tossed, 1), np.nextafter(tossed, 0), 0.0, 1.0, 1e-300):
            assert (tossed < p) == (coin_steps(key, np.uint64(arc)) < steps(np.array([p]))[0])


@pytest.mark.parametrize("model", ["ic", "lt"])
def test_cascades_and_sets_of_one_seed_share_no_coins(model):
    """Whether set i holds its root's only influencer tells nothing of the coin of the root's number in run i.

    That coin decides on an arc under independent cascade, and under linear threshold on the very tie in question.
    """
    n, runs, p = 50, 20_000, 0.5
    graph = SocialGraph.from_arcs(np.zeros(n - 1, dtype=np.int64), np.arange(1, n), p, nodes=n)
    sets = RRSets(graph, model, seed=4)
    sets.grow(runs)
    live, held = [], []
    for run in range(runs):
        root = int(sets.members[run][0])
        if root:
            key = np.uint64(stream(np.uint64(4), np.uint64(run)))
            live.append(coin(key, np.uint64(root)) < p)
            held.append(0 in sets.members[run])
    assert abs(np.mean(held) - p) < 4 * p / np.sqrt(len(held))
    assert abs(np.mean(np.array(live) == np.array(held)) - 0.5) < 4 * 0.5 / np.sqrt(len(held))


@pytest.mark.parametrize("model", ["ic", "lt"])
def test_estimates_of_one_seed_err_independently(model):
    """Over many seeds, the errors of cascades and of sets that both have that seed do not go together."""
    random = np.random.default_rng(0)
    graph = weighted_cascade(SocialGraph.from_arcs(*random.integers(30, size=(2, 90)), nodes=30))
    rows, runs, seeds = np.array([1, 5]), 200, 400
    forward, backward = np.empty(seeds), np.empty(seeds)
    for seed in range(seeds):
        forward[seed] = diffusion(model, graph, runs=runs, seed=seed).simulate_rows(rows).spread.mean
        sets = RRSets(graph, model, seed=seed)
        sets.grow(runs)
        backward[seed] = sets.spread(rows).mean
    assert abs(np.corrcoef(forward, backward)[0, 1]) < 4 / np.sqrt(seeds)
