"""The figures of reverse-reachable sets that a benchmark reports."""

from __future__ import annotations

import numpy as np

from graph_influence.graph import SocialGraph
from tests.benchmarks.conftest import Load


def test_figures_of_a_small_graph(load: Load):
    random = np.random.default_rng(0)
    ends = random.integers(2_000, size=(2, 4_000))
    graph = SocialGraph.from_arcs(*ends, nodes=2_000, undirected=True)
    graph = graph.with_probability(1 / np.maximum(graph.in_degree(), 1)[graph.target])
    figures = load("rrsets").measure(graph, sets=2_000, removals=5, repeats=1)
    assert figures["sets_per_second_1t"] > 0 and figures["removal_ms_median"] > 0
    assert 8 * figures["mean_set_size"] < figures["bytes_per_set"] < 12 * figures["mean_set_size"] + 20
    for semantics in ("frozen", "renormalised"):
        # Coins are named: what is left of a store is the store of what is left.
        assert figures[semantics]["estimate_over_fresh"] == 1.0
        assert 0 < figures[semantics]["redrawn_share"] < figures[semantics]["hub_redrawn_share"] <= 1
