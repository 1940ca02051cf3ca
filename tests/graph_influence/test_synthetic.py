"""The generator of random social graphs."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.surrogate import TensorGraph
from graph_influence.synthetic import power_law


def test_the_graphs_are_power_laws_with_shared_weights():
    graph = power_law(4_000, exponent=2.0, silent=0.0, seed=1)
    total = np.bincount(graph.target, graph.probability, minlength=4_000)
    assert np.allclose(total[graph.in_degree() > 0], 1.0) and (graph.in_degree() == 0).any()
    out = np.sort(graph.out_degree())[::-1]
    high = out[out >= 30]
    hill = 1 + 1 / np.log(high / 29.5).mean()
    assert abs(hill - 2.0) < 4 * (hill - 1) / len(high) ** 0.5
    drawn = power_law(4_000, silent=0.0, reciprocity=0.0, seed=1).in_degree()
    assert np.median(drawn) in (3, 4) and 0.7 < np.log(drawn[drawn > 0]).std() < 1.1
    for share in (0.0, 0.3):  # arcs that go both ways, of all: twice those drawn back, of as many more
        mutual = TensorGraph.of(power_law(4_000, silent=0.0, reciprocity=share, seed=1))
        assert len(mutual.paired) / len(mutual.source) == pytest.approx(2 * share / (1 + share), abs=0.04)
    assert (power_law(500, silent=0.7, reciprocity=0.0).out_degree() == 0).mean() >= 0.7
    assert np.array_equal(power_law(300, seed=5).source, power_law(300, seed=5).source)
    assert power_law(2, in_degree=0.01).num_arcs == 0
    with pytest.raises(ValueError, match="`exponent` above 1"):
        power_law(10, exponent=1.0)
