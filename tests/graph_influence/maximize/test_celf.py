"""Lazy greedy against the plain one on the same worlds, and the worlds against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.coins import purpose
from graph_influence.diffusion import diffusion
from graph_influence.maximize import maximize
from graph_influence.maximize.base import ranked
from graph_influence.maximize.worlds import Worlds
from tests.graph_influence.maximize.graphs import social

RUNS = 40


def plain_greedy(graph, k, model, seed):
    """Simulate every candidate again in every round, in runs of the same coins."""
    spread = diffusion(model, graph, runs=RUNS, seed=purpose(seed, "worlds"))
    order, rows = ranked(graph).tolist(), []
    for _ in range(k):
        sizes = {row: spread.simulate_rows(np.array([*rows, row])).sizes.sum() for row in order if row not in rows}
        rows.append(max(sizes, key=lambda row: (sizes[row], -order.index(row))))
    return rows


@pytest.mark.parametrize("model", ["ic", "lt"])
@pytest.mark.parametrize("method", ["celf", "celf++"])
def test_seeds_are_those_of_the_plain_greedy(method, model):
    for seed in range(3):
        graph = social(40, seed=seed)
        found = maximize(graph, 6, method, runs=RUNS, seed=seed, model=model)
        assert graph.nodes.rows(found.nodes).tolist() == plain_greedy(graph, 6, model, seed)


@pytest.mark.parametrize("model", ["ic", "lt"])
def test_marks_and_gains_are_those_of_simulated_runs(model):
    graph = social()
    spread = diffusion(model, graph, runs=RUNS, seed=3)
    worlds = Worlds(spread)
    rows, before = [5, 0, 12], 0.0
    for number, row in enumerate(rows):
        gain = worlds.gains(np.array([row]), worlds.active)[0, 0]
        worlds.active |= worlds.marks(row)
        simulated = spread.simulate_rows(np.array(rows[: number + 1]))
        assert (worlds.active.sum(1) == simulated.sizes).all()
        assert gain == pytest.approx(simulated.spread.mean - before)
        before = simulated.spread.mean


def test_the_second_gain_is_the_gain_after_the_leader():
    graph = social()
    worlds = Worlds(diffusion("ic", graph, runs=RUNS, seed=3))
    beyond = worlds.marks(0)
    after = worlds.gains(np.arange(30), beyond)[:, 1]
    worlds.active |= beyond
    assert after == pytest.approx(worlds.gains(np.arange(30), worlds.active)[:, 0])
    assert after[0] == 0


def test_laziness_saves_most_evaluations(monkeypatch):
    counted = []

    class Counted(Worlds):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            counted.append(self)

    monkeypatch.setattr("graph_influence.maximize.celf.Worlds", Counted)
    for method in ("celf", "celf++"):
        maximize(social(), 10, method, runs=RUNS)
    lazy, ahead = (one.evaluations for one in counted)
    assert ahead <= lazy < 2_955 / 5  # the plain greedy takes 2,955
