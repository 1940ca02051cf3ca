"""The oracle itself, against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from tests.oracles.cascades import random_graph, worlds


def test_independent_cascade_along_a_path_and_over_two_routes():
    path = SocialGraph.from_arcs([0, 1, 2], [1, 2, 3], [0.5, 0.4, 0.3], nodes=4)
    assert worlds(path, "ic").activation([0]) == pytest.approx([1, 0.5, 0.2, 0.06])
    diamond = SocialGraph.from_arcs([0, 0, 1, 2], [1, 2, 3, 3], [0.5, 0.5, 0.5, 0.5], nodes=4)
    assert worlds(diamond, "ic").activation([0])[3] == pytest.approx(1 - 0.75**2)


def test_linear_threshold_adds_the_weights_of_active_neighbours():
    diamond = SocialGraph.from_arcs([0, 0, 1, 2], [1, 2, 3, 3], [1.0, 0.5, 0.25, 0.5], nodes=4)
    found = worlds(diamond, "lt")
    assert found.activation([0])[3] == pytest.approx(0.25 + 0.5 * 0.5)
    assert found.activation([1, 2])[3] == pytest.approx(0.75)


@pytest.mark.parametrize("model", ["ic", "lt"])
def test_worlds_are_all_there_are(model):
    for seed in range(30):
        found = worlds(random_graph(seed, model), model)
        assert found.chance.sum() == pytest.approx(1)
        assert (found.chance > -1e-14).all()
        assert found.chance @ found.live == pytest.approx(found.graph.probability)


def test_removed_arcs_are_in_no_world():
    graph = SocialGraph.from_arcs([0, 1], [1, 2], [0.5, 0.5], nodes=3)
    left = graph.without_rows(np.array([1]), np.array([], dtype=np.int64))
    assert worlds(left, "ic").spread([0]) == 1.0
