from __future__ import annotations

import numpy as np
from scipy import stats

from graph_influence.coins import coin, coin_steps, steps, stream
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
