"""The portfolio against the best of all removals on small graphs."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.minimize import Auto, Outbreak, Referee, minimizer
from graph_influence.minimize.auto import PORTFOLIO
from tests.graph_influence.minimize.contract import least_spread, spread_without
from tests.oracles.cascades import random_graph


@pytest.mark.parametrize("unit", ["arcs", "nodes"])
def test_it_is_seldom_far_from_the_best_of_all_removals(unit):
    left = []
    for seed in range(30):
        outbreak = Outbreak(random_graph(seed), np.array([0]), unit)
        if outbreak.removable.sum() < 3 or spread_without(outbreak, []) < 1.1:
            continue
        whole, best = spread_without(outbreak, []), least_spread(outbreak, 2)
        found = spread_without(outbreak, Auto(unit=unit, runs=2_000).choose(outbreak, 2))
        left.append((whole - found) / (whole - best))
    assert len(left) > 15
    assert np.mean(left) > 0.99 and min(left) > 0.8


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_it_answers_with_what_the_referee_prefers(seed):
    outbreak = Outbreak(random_graph(seed), np.array([0]))
    referee = Referee(outbreak, runs=4_000, seed=8)

    def worth(chosen: list[int]) -> float:
        return referee.judge(chosen).drop.mean

    best = max(worth(kind().choose(outbreak, 2)) for kind in PORTFOLIO)
    assert worth(Auto(runs=4_000).choose(outbreak, 2)) == pytest.approx(best, abs=0.05)
    assert worth(minimizer("random").choose(outbreak, 2)) <= best
