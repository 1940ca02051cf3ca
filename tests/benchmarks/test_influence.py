"""The benchmark of social influence runs on a file of ties and writes what it says."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graph_influence.diffusion import IndependentCascade
from graph_influence.readers import read
from graph_influence.schemes import weighted_cascade
from tests.benchmarks.conftest import Benchmark

FIELDS = {
    "nodes", "arcs", "spread_eps01", "seconds_eps01", "spread_default", "seconds_default", "mc_spread", "mc_stderr",
    "certified_ratio", "sets_per_second_1t", "sets_per_second_2t", "bytes_per_set", "removal_ms_median",
    "removal_worst_ratio_to_rebuild", "cynetdiff_ic_ratio", "cynetdiff_lt_ratio", "peak_mb", "seeds", "seeds_eps01",
}  # fmt: skip


@pytest.fixture
def run(benchmark: Benchmark, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda *flags: benchmark("influence", "--quick", "--json", tmp_path / "out.json", *flags, cwd=tmp_path)


@pytest.fixture
def ties(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    pairs = (400 * random.uniform(size=(1_500, 2)) ** 2).astype(int)
    path = tmp_path / "ties.txt.gz"
    path.write_bytes(gzip.compress("".join(f"{u} {v}\n" for u, v in pairs).encode()))
    return path


def test_figures_can_be_judged_from_the_seeds(run: Any, ties: Path, tmp_path: Path) -> None:
    done = run("--graph", str(ties), "--k", "10", "--constant", "0.05")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found) == FIELDS | {"hist_ratio", "hist_mb"}
    graph = weighted_cascade(read(ties, undirected=True))
    assert (found["nodes"], found["arcs"]) == (graph.num_alive, graph.num_arcs)
    assert len(set(found["seeds"])) == len(set(found["seeds_eps01"])) == 10
    simulated = IndependentCascade(graph, runs=20_000, seed=99).simulate(found["seeds"]).spread
    assert abs(found["mc_spread"] - simulated.mean) < 4 * np.hypot(found["mc_stderr"], simulated.standard_error)
    assert found["spread_default"] == pytest.approx(simulated.mean, rel=0.03)
    assert 0.9 * found["spread_default"] < found["spread_eps01"] < 1.03 * found["spread_default"]
    assert 0.5 < found["certified_ratio"] <= 1
    assert all(value > 0 for name, value in found.items() if isinstance(value, float) and not name.endswith("_mb"))


def test_arcs_may_go_one_way(run: Any, ties: Path, tmp_path: Path) -> None:
    done = run("--graph", str(ties), "--k", "3", "--directed")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found) == FIELDS and found["arcs"] == read(ties).num_arcs


@pytest.mark.parametrize("arcs", ["0 1", "0 1\n0 2\n0 3\n0 4\n0 5"])
def test_graphs_as_small_as_can_be_and_without_chance(run: Any, arcs: str, tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text(f"6 {len(arcs.splitlines())}\n{arcs}\n")
    done = run("--graph", str(path), "--format", "headed", "--directed", "--k", "1")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    assert found["seeds"] == [0] and found["mc_spread"] == len(arcs.splitlines()) + 1
    assert found["mc_stderr"] == 0


def test_what_cannot_be_measured_is_said(run: Any, ties: Path, tmp_path: Path) -> None:
    assert "from 1 to the graph's" in run("--graph", str(ties), "--k", "5000").stderr
    (tmp_path / "three.txt").write_text("a b\nb c\n")
    assert "at least 4 nodes" in run("--graph", str(tmp_path / "three.txt"), "--k", "1").stderr
    assert "no.txt" in run("--graph", str(tmp_path / "no.txt")).stderr
