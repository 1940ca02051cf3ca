from __future__ import annotations

import warnings

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from graph_influence.surrogate import SupercriticalWarning, TensorGraph, criticality, warn_if_supercritical
from tests.oracles.cascades import ends, random_graph


def operator(social: SocialGraph) -> np.ndarray:
    """The non-backtracking operator in full, [m, m]."""
    arcs, matrix = ends(social), np.zeros((social.num_arcs, social.num_arcs))
    for one, (tail, head) in enumerate(arcs):
        for other, (before, between) in enumerate(arcs):
            if between == tail and before != head:
                matrix[one, other] = social.probability[other]
    return matrix


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_spectral_radius_of_the_whole_operator(seed):
    random = np.random.default_rng(seed)
    ends = random.integers(12, size=(2, 60))
    social = SocialGraph.from_arcs(*ends, random.uniform(size=60), nodes=12, undirected=bool(seed % 2))
    radius = np.abs(np.linalg.eigvals(operator(social))).max()
    assert criticality(TensorGraph.of(social)) == pytest.approx(radius, rel=0.01)


@pytest.mark.parametrize("d", [3, 5])
def test_a_regular_graph_has_d_minus_1_times_p(d):
    n = 40
    ring = [(node, (node + step) % n) for node in range(n) for step in range(1, d // 2 + 1)]
    ring += [(node, node + n // 2) for node in range(n // 2)]
    social = SocialGraph.from_arcs(*np.array(ring).T, 0.3, nodes=n, undirected=True)
    assert social.out_degree().tolist() == [d] * n
    assert criticality(TensorGraph.of(social)) == pytest.approx(0.3 * (d - 1), rel=1e-3)


def test_a_few_close_friends_in_a_large_graph_are_enough():
    """Five people all tied to each other beside 30,000 rings, in which activity dies out."""
    node, alone = np.arange(180_000), 180_000
    ring = np.where(node % 6 == 5, node - 5, node + 1)
    tails, heads = np.array([(alone + u, alone + v) for u in range(5) for v in range(u)]).T
    social = SocialGraph.from_arcs(
        np.append(node, tails), np.append(ring, heads), 0.5, nodes=alone + 5, undirected=True
    )
    assert criticality(TensorGraph.of(social)) == pytest.approx(1.5, rel=0.01)


def test_without_cycles_there_is_none():
    path = SocialGraph.from_arcs(range(9), range(1, 10), nodes=10, undirected=True)
    assert criticality(TensorGraph.of(path)) < 0.1
    assert criticality(TensorGraph.of(SocialGraph.from_arcs([], [], nodes=3))) == 0.0


def test_whoever_asks_is_warned():
    complete = [(u, v) for u in range(6) for v in range(6) if u != v]
    social = SocialGraph.from_arcs(*np.array(complete).T, 0.5, nodes=6)
    with pytest.warns(SupercriticalWarning, match="factor of 2 a step.*compare with simulation"):
        warn_if_supercritical(TensorGraph.of(social))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_supercritical(TensorGraph.of(random_graph(0).with_probability(0.05)))
