"""The figures of forward simulation that a benchmark reports."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from graph_influence.schemes import weighted_cascade
from tests.benchmarks.conftest import Load


def test_both_simulate_the_same_thing(load: Load) -> None:
    ends = np.random.default_rng(0).integers(500, size=(2, 2_000))
    graph = weighted_cascade(SocialGraph.from_arcs(*ends, nodes=500))
    figures = load("forward").measure(graph, np.arange(10), runs=4_000, repeats=1)
    for model in ("ic", "lt"):
        assert figures[f"apart_{model}"] < 4 and figures[f"spread_{model}"] > 20
        ratio = figures[f"runs_per_second_{model}"] / figures[f"cynetdiff_runs_per_second_{model}"]
        assert figures[f"cynetdiff_{model}_ratio"] == pytest.approx(ratio)
