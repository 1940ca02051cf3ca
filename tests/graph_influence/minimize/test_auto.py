"""The portfolio against the best of all removals on small graphs."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.diffusion import Estimate
from graph_influence.graph import SocialGraph
from graph_influence.minimize import Auto, DiffIMPlusPlus, Outbreak, Referee, minimizer
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


def equals() -> Outbreak:
    """Eight ways that are all alike: worlds prefer one of them by chance, and so does a judge of few cascades."""
    twigs = [(0, way) for way in range(1, 9)] + [(way, 8 * way + leaf) for way in range(1, 9) for leaf in range(1, 8)]
    return Outbreak(SocialGraph.from_arcs(*np.array(twigs).T, 0.5, nodes=72), np.array([0]))


@pytest.mark.parametrize(("errors", "taken"), [(2.4, False), (2.6, True)])
def test_another_is_taken_from_two_standard_errors_corrected_for_four(monkeypatch, errors, taken):
    monkeypatch.setattr(Referee, "difference", lambda *_: Estimate(errors, 1.0, 200))
    outbreak, seeds = equals(), range(10)
    changed = [
        Auto(seed=seed, runs=200).choose(outbreak, 1) != DiffIMPlusPlus(seed=seed).choose(outbreak, 1) for seed in seeds
    ]
    assert any(changed) is taken


def test_luck_does_not_decide_between_equals():
    outbreak, runs, kept, led = equals(), 200, 0, 0
    for seed in range(20):
        stands = DiffIMPlusPlus(seed=seed).choose(outbreak, 1)
        referee = Referee(outbreak, runs=runs, seed=seed)
        drops = [referee.judge(kind(seed=seed).choose(outbreak, 1)).drop.mean for kind in PORTFOLIO]
        led += max(drops) == drops[0]
        kept += Auto(seed=seed, runs=runs).choose(outbreak, 1) == stands
    assert kept >= 16 and led <= 10  # by so few cascades another one is often the best


def test_whoever_judges_its_choice_by_the_same_seed_tosses_other_coins(monkeypatch):
    """Else a choice would be judged by the cascades that it was chosen by, and come out better than it is."""
    outbreak, judges = Outbreak(random_graph(3), np.array([0])), list[Referee]()

    class Noted(Referee):
        def __init__(self, *given, **options) -> None:
            super().__init__(*given, **options)
            judges.append(self)

    monkeypatch.setattr("graph_influence.minimize.auto.Referee", Noted)
    Auto(seed=5, runs=997).choose(outbreak, 1)
    (own,) = judges
    assert own.judge([]).before != Referee(outbreak, runs=997, seed=5).judge([]).before
