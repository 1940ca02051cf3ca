"""Spread on real graphs: as far as the C++ anchor at its own setting, and further by default."""

from __future__ import annotations

import pytest

from graph_influence.diffusion import IndependentCascade
from graph_influence.maximize import maximize
from graph_influence.readers import read
from graph_influence.schemes import weighted_cascade


@pytest.mark.parametrize(("name", "anchor", "further"), [("hep", 926, 960), ("phy", 1318, 1400)])
def test_seeds_reach_as_far_as_those_of_the_anchor(data_dir, name, anchor, further):
    """50 seeds, weighted cascade on the simple graph; 10,000 cascades judge."""
    graph = weighted_cascade(read(data_dir / "graphs" / f"{name}.txt", undirected=True))
    cascades = IndependentCascade(graph, runs=10_000, seed=11)
    quick, default = maximize(graph, 50, eps=0.1), maximize(graph, 50)
    for answer, least in ((quick, 0.995 * anchor), (default, further)):
        simulated = cascades.simulate(answer.nodes).spread
        assert simulated.mean >= least
        error = ((answer.spread.high - answer.spread.low) / 3.92) ** 2 + simulated.standard_error**2
        assert abs(answer.spread.mean - simulated.mean) < 4 * error**0.5
    assert quick.sets < 200_000
    assert default.ratio is not None and default.ratio > 0.7
