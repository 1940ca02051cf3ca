"""The benchmark of containment: rows that another referee can score, from instances in a file or at random."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from graph_influence.minimize import Outbreak, Referee, minimizers
from graph_influence.readers import read
from graph_influence.surrogate import GCN, save_surrogate
from tests.benchmarks.conftest import Benchmark

METHODS = ["auto", "advanced_greedy", "diffim_plus_plus", "greedy_replace", "ris", "seed_adjacent", "random"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, random = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0)
    ends = random.integers(200, size=(2, 500))
    arcs = {(u, v): p for u, v, p in zip(*ends, random.uniform(0.1, 0.6, 500), strict=True) if u != v}
    lines = [f"200\t{len(arcs)}", *(f"{u}\t{v}\t{p:.3f}" for (u, v), p in arcs.items())]
    (folder / "graph.txt").write_text("\r\n".join(lines) + "\r\n", "utf-8")
    sets = [random.permutation(200)[:4].tolist() for _ in range(3)]
    (folder / "instances.json").write_text(json.dumps({"seed_sets": sets, "mean_spread": [0, 0, 0]}), "utf-8")
    return folder


@pytest.fixture(scope="module")
def result(inputs: Path, benchmark: Benchmark) -> dict[str, Any]:
    out = inputs / "result.json"
    done = benchmark(
        "minimize", "--graph", inputs / "graph.txt", "--instances", inputs / "instances.json", "--budgets", "2,4",
        "--runs", "3000", "--json", out, "--methods", ",".join(METHODS), "--prove", cwd=inputs,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "auto over the best single method" in done.stdout
    return json.loads(out.read_text("utf-8"))


def test_every_method_has_a_row_for_each_budget(result):
    assert {(row["method"], row["budget"]) for row in result["rows"]} == {(name, b) for name in METHODS for b in (2, 4)}
    for row in result["rows"]:
        assert {"reduced_ratio", "stderr", "seconds", "removed"} <= row.keys()
        assert [len(one) for one in row["removed"]] == [row["budget"]] * 3
        assert row["reduced_ratio"] == pytest.approx(np.mean(row["by_instance"]))
        assert row["stderr"] == pytest.approx(np.std(row["by_instance"], ddof=1) / 3**0.5)


def test_another_referee_comes_to_the_same_ratios(result, inputs):
    graph = read(inputs / "graph.txt")
    assert isinstance(graph, SocialGraph)
    sets = json.loads((inputs / "instances.json").read_text("utf-8"))["seed_sets"]
    for row in result["rows"]:
        if row["method"] not in ("auto", "seed_adjacent", "random"):
            continue
        verdicts = []
        for seeds, removed in zip(sets, row["removed"], strict=True):
            referee = Referee(Outbreak(graph, graph.nodes.rows(seeds)), runs=3_000, seed=77)
            verdicts.append(referee.judge(graph.arcs(map(tuple, removed))))
        error = np.hypot(np.linalg.norm([one.standard_error for one in verdicts]) / 3, row["referee_stderr"])
        assert abs(np.mean([one.reduced_ratio for one in verdicts]) - row["reduced_ratio"]) < 4 * error + 1e-9


def test_the_portfolio_is_near_the_best_and_chance_is_not(result):
    for budget in (2, 4):
        ratio = {row["method"]: row["reduced_ratio"] for row in result["rows"] if row["budget"] == budget}
        single = max(value for name, value in ratio.items() if name != "auto")
        assert ratio["auto"] >= 0.98 * single
        assert ratio["random"] < 0.25 * single


def test_no_method_is_beyond_the_bound_and_the_best_is_near_it(result):
    for bound in result["bounds"]:
        rows = [row for row in result["rows"] if row["budget"] == bound["budget"]]
        best = max(rows, key=lambda row: row["reduced_ratio"])
        error = np.hypot(best["referee_stderr"], bound["at_most_stderr"])
        assert best["reduced_ratio"] <= bound["at_most"] + 4 * error
        assert bound["at_most"] == pytest.approx(np.mean(bound["by_instance"])) and 0 <= bound["gap"] < 0.05
        assert min(row["reduced_ratio"] for row in rows) < bound["at_most"] - 0.1
    assert [bound["budget"] for bound in result["bounds"]] == [2, 4]


def test_seed_sets_may_be_drawn_and_nodes_blocked(inputs, load, monkeypatch):
    module = load("minimize")
    flags = ["--graph", inputs / "graph.txt", "--draw", "2x3", "--unit", "nodes", "--scheme", "weighted_cascade"]
    monkeypatch.setattr(sys, "argv", ["minimize", *map(str, flags), "--methods", "advanced_greedy:samples=100,random"])
    graph, sets, methods = module.prepared(module.options())
    assert [len(set(rows.tolist())) for rows in sets] == [3, 3]
    assert [(name, method.unit) for name, method in methods.items()] == [
        ("advanced_greedy:samples=100", "nodes"),
        ("random", "nodes"),
    ]
    outbreak = Outbreak(graph, sets[0], "nodes")
    found = module.judged(methods["random"], outbreak, 2, Referee(outbreak, runs=50))
    assert all(isinstance(node, int) for node in found["removed"]) and len(found["removed"]) == 2


def test_by_default_all_methods_run_that_do_not_take_hours(inputs, load, monkeypatch):
    module = load("minimize")
    monkeypatch.setattr(sys, "argv", ["minimize", "--quick"])
    _, sets, methods = module.prepared(module.options())
    assert len(sets) == 3 and set(methods) == set(minimizers()) - {"diffim", "diffim_plus"}


def test_what_is_missing_is_told(inputs, load, monkeypatch, capsys):
    module = load("minimize")
    for flags in (["--graph", inputs / "graph.txt"], ["--instances", inputs / "instances.json"]):
        monkeypatch.setattr(sys, "argv", ["minimize", *map(str, flags)])
        with pytest.raises(SystemExit):
            module.options()
        assert "--draw" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--methods", "random", "--budgets", "2,501"), "`budget` must be from 1 to the"),
        (("--methods", "random", "--budgets", "two"), "`--budgets` must be whole numbers"),
        (("--methods", "random,advanced_greedy:samples=0"), "`samples` must be at least 1"),
        (("--methods", "random,key_edge", "--unit", "nodes"), "`unit` must be arcs for `key_edge`"),
        (("--methods", "diffim_plus_plus:surrogate=gcn"), "`gcn` must have learned"),
        (("--draw", "2x0"), "`--draw` must be COUNTxSIZE"),
        (("--instances", '{"seed_sets": [[0, 1], []]}'), "at least one seed"),
        (("--instances", '{"seed_sets": []}'), "must hold `seed_sets`"),
        (("--instances", '{"seed_sets": 5}'), "must hold `seed_sets`"),
        (("--instances", '{"seed_sets": [[0, 1], 2]}'), "must hold `seed_sets`"),
        (("--instances", '{"seed_sets": [[0, 1], [2, 2]]}'), "wrong.json, seed set 1: these 2 ids"),
        (("--instances", '{"seed_sets": [[0], [1], [[2]]]}'), "wrong.json, seed set 2: "),
        (("--instances", '{"seed_sets": [[0]'), "wrong.json must be JSON with `seed_sets`"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is(flags, told, inputs, load, monkeypatch, tmp_path):
    module = load("minimize")
    given = list(flags)
    if "--instances" in given:
        file = tmp_path / "wrong.json"
        file.write_text(given[1], "utf-8")
        given[1] = str(file)
    elif "--draw" not in given:
        given += ["--draw", "1x3"]
    monkeypatch.setattr(sys, "argv", ["minimize", "--graph", str(inputs / "graph.txt"), *given])
    monkeypatch.setattr(module, "judged", lambda *_: pytest.fail("a method was asked"))
    monkeypatch.setattr(module.torch, "set_num_threads", lambda _: None)
    with pytest.raises(SystemExit) as refused:
        module.main()
    assert told in str(refused.value)


def test_a_method_may_name_the_surrogate_that_it_reads(tmp_path, load, monkeypatch):
    module, path = load("minimize"), tmp_path / "one.safetensors"
    save_surrogate(GCN(depth=1, width=2), path)
    typed = f"diffim_plus_plus:surrogate=[gcn:path={path}],diffim_plus_plus:surrogate=mean_field"
    monkeypatch.setattr(sys, "argv", ["minimize", "--quick", "--methods", typed])
    _, _, methods = module.prepared(module.options())
    assert {name: method.surrogate.name for name, method in methods.items()} == {
        "diffim_plus_plus:surrogate=[gcn:path=one.safetensors]": "gcn",
        "diffim_plus_plus:surrogate=mean_field": "mean_field",
    }
