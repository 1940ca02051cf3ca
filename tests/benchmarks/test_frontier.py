"""The frontier: every method has a figure or a reason, choices are made on validation, a run goes on where it ended."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recsys.data import ratio, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from unlearn.forget import ForgetSet
from unlearn.methods import method

FLAGS = ("--methods", "reconverge,iau,rewind,native", "--delete", "users:20", "corrupted:0.05")


@pytest.fixture
def problem() -> RecommenderProblem:
    split = ratio(synthetic(60, 40, 900, seed=0))
    return RecommenderProblem.build(split.refit(), objective=WholeData(l2=2.0), dim=8, layers=2).fit()


def request_of(problem: RecommenderProblem) -> ForgetSet:
    return ForgetSet(users=tuple(problem.data.users.take([3, 5])))


def test_every_cell_has_figures_or_reasons_and_the_rest_is_as_evaluate_has_it(run: Any) -> None:
    result = run("frontier", *FLAGS)
    assert result["benchmark"] == "frontier" and result["seeds"] == [0]
    assert [cell["request"] for cell in result["cells"]] == ["users:20", "corrupted:0.05"]
    for cell in result["cells"]:
        rows = {row["name"]: row for row in cell["methods"]}
        assert {"no_op", "graph_drop", "retrain", "placebo", "reconverge", "iau", "rewind", "native"} <= set(rows)
        assert "history.checkpoints" in rows["rewind"]["reason"] and "SelfUnlearning" in rows["native"]["reason"]
        for name in ("no_op", "reconverge", "iau"):
            assert {"retrain_gap", "gap_floor", "forget_auc", "retrain_auc", "seconds"} <= set(rows[name])
        assert rows["no_op"]["retrain_gap"]["mean"] == pytest.approx(1.0)
        assert rows["reconverge"]["retrain_gap"]["mean"] < 0.3 < rows["graph_drop"]["retrain_gap"]["mean"]
        assert "no_op" not in cell["meeting"] and cell["efficient"][-1].startswith("reconverge")
        raw = cell["raw"]["measurements"]
        kept = {row["method"]: row["values"]["retrain_gap"] for row in raw if "retrain_gap" in row["values"]}
        assert kept["iau"] == rows["iau"]["retrain_gap"]["mean"]  # one seed: its mean is itself


def test_settings_are_chosen_by_what_was_tried_on_other_requests(run: Any, load: Any) -> None:
    result = run("frontier", *FLAGS)
    (tuning,) = result["tuning"]
    settings = load("frontier_settings")
    tried = [settings.Tried(**row) for row in tuning["tried"]]
    assert settings.OTHER_SEED not in result["seeds"]
    for name in ("reconverge", "iau"):
        rows = [row for row in tried if row.method.partition(":")[0] == name]
        assert rows[0].method == name and len(rows) > 1
        best = settings.best(rows, 0.15).method
        assert (best in tuning["chosen"]) is (best != name)
    calibrated = next(row.method for row in tried if "calibrate" in row.method)
    assert float(calibrated.rpartition("=")[2]) > 0
    named = {row["name"] for cell in result["cells"] for row in cell["methods"]}
    assert set(tuning["chosen"]) <= named


def test_the_fastest_within_the_bar_or_the_nearest_is_chosen(load: Any) -> None:
    settings = load("frontier_settings")
    tried = settings.Tried
    slow, fast, near = tried("a", 0.10, 2.0), tried("a:x=1", 0.14, 1.0), tried("a:x=2", 0.01, 3.0)
    assert settings.best([slow, fast, near], 0.15) is fast
    assert settings.best([slow, fast, near], 0.05) is near
    assert settings.best([slow, fast, near], 0.001) is near
    hardly = tried("a:x=3", 0.11, 1.9)
    assert settings.best([slow, hardly], 0.15) is slow  # a tenth is no reason to leave the default
    assert settings.best([tried("a", None, None), near], 0.15) is near
    assert settings.best([tried("a", None, None)], 0.15) is None


def test_held_out_records_cost_more_than_those_that_were_learned(load: Any) -> None:
    split = ratio(synthetic(60, 40, 900, seed=0))
    fitted = RecommenderProblem.build(split.train, objective=WholeData(l2=0.5), dim=8, layers=2).fit()
    learned = float(fitted.record_losses(fitted.params).mean())
    assert load("frontier_settings").held_out_loss(fitted, split) > 1.2 * learned


def test_efficient_is_what_nothing_beats_in_both(load: Any) -> None:
    figure = load("frontier_figure")
    found = [
        figure.Point(name, seconds, gap, 0.0, 1.0, name == "own")
        for name, seconds, gap in [("a", 1, 0.5), ("b", 2, 0.6), ("c", 3, 0.1), ("d", 0.5, 1.0), ("own", 4, 0.0)]
    ]
    assert [point.name for point in figure.efficient(found)] == ["d", "a", "c"]
    assert figure.distance(0.1, 0.3, "cold") == 0.3 and figure.distance(0.1, 2.0, "by seed") == 0.1
    assert figure.distance(None, 0.1, "cold") is None and figure.distance(float("nan"), 0.1, "cold") is None


def test_a_method_has_its_time_and_no_more(load: Any, problem: RecommenderProblem) -> None:
    served, base = load("served"), load("served").Unlearner

    @dataclass(frozen=True)
    class Endless(base):
        name = "endless"

        def _forget(self, problem: Any, remaining: Any, forget: ForgetSet, state: Any) -> Any:
            while True:
                time.sleep(0.01)

    @dataclass(frozen=True)
    class Broken(base):
        name = "broken"

        def _forget(self, problem: Any, remaining: Any, forget: ForgetSet, state: Any) -> Any:
            raise RuntimeError("no such luck")

    request = request_of(problem)
    methods = [("slow", Endless()), ("broken", Broken()), ("iau", method("iau"))]
    rows = {one.name: one for one in served.serve_all(methods, problem, [request], limit=0.5)}
    assert "stopped after 0.5 s" in rows["slow"].obstacle(problem)
    assert "RuntimeError: no such luck" in rows["broken"].obstacle(problem)
    assert rows["iau"].obstacle(problem) is None
    time.sleep(0.6)  # the alarm of a method that ended in time does not ring later


def test_what_was_served_is_what_the_method_itself_does(load: Any, problem: RecommenderProblem) -> None:
    request = problem.resolve(request_of(problem))
    inner = method("reconverge")
    (served,) = load("served").serve_all([("re", inner)], problem, [request], limit=60.0)
    own = inner.forget(problem, request, inner.prepare(problem))
    stored = served.forget(problem, request, served.prepare(problem))
    assert served.name == "re" and served.arguments() == inner.arguments() and served.exact is inner.exact
    assert stored.seconds > 0 and served.seconds >= stored.seconds
    assert isinstance(own.problem, RecommenderProblem) and stored.problem is not own.problem
    for name, value in own.problem.params.items():
        assert value.equal(stored.problem.params[name])


def test_runs_as_a_module_goes_on_and_draws(run: Any, load: Any, tmp_path: Path) -> None:
    root = Path(load("common").__file__).parents[1]
    out, picture = tmp_path / "out.json", tmp_path / "frontier.png"
    result = run("frontier", *FLAGS)
    result = result | {"cells": result["cells"][:1]}
    out.write_text(json.dumps(result), "utf-8")
    line = [sys.executable, "-m", "benchmarks.frontier", "--quick", "--json", str(out), "--resume", *FLAGS]
    done = subprocess.run([*line, "--figure", str(picture)], capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 cells are there already" in done.stdout
    after = json.loads(out.read_text("utf-8"))
    assert after["cells"][0] == result["cells"][0] and after["tuning"] == result["tuning"]  # nothing was done twice
    assert [cell["request"] for cell in after["cells"]] == ["users:20", "corrupted:0.05"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_asked_is_a_cell_with_a_reason(load: Any) -> None:
    frontier = load("frontier")
    block = frontier.Block(None, "lightgcn:dim=8", "whole_data")
    options = argparse.Namespace(seeds=1, limit=60.0)
    cell = frontier.cell(options, block, block.split(), "items:5000", ["reconverge"])
    assert cell["methods"] == [] and "asks for 5000 items" in cell["reason"]


def test_options_of_training_follow_the_objective(load: Any) -> None:
    setup = load("frontier").Block(None, "mf", "bpr:l2=0.1,epochs=7,lr=0.02").setup()
    assert (setup.model, setup.objective, setup.epochs, setup.lr) == ("mf", "bpr:l2=0.1", 7, 0.02)


def test_data_is_read_as_the_options_say(load: Any, tmp_path: Path) -> None:
    frontier = load("frontier")
    log = tmp_path / "log.csv"
    log.write_text("user,item,rating\n" + "".join(f"{u},{i},{3 + i % 2}\n" for u in range(9) for i in (*range(6), 1)))
    asked = {"quick": False, "full": False, "data": log, "model": None, "objective": ["whole_data"], "format": "csv"}
    (block,) = frontier.chosen_blocks(argparse.Namespace(**asked, threshold=3.0, duplicates="first"))
    assert len(block.split().refit()) + len(block.split().test) == 9 * 6
    (block,) = frontier.chosen_blocks(argparse.Namespace(**asked, threshold=4.0, duplicates="raise"))
    with pytest.raises(SystemExit, match="--duplicates"):
        frontier.readable([block], "iau", ())


def test_closed_forms_have_a_cell_and_single_users_no_name(load: Any) -> None:
    frontier = load("frontier")
    block = frontier.Block(None, "ease", "none")
    options = argparse.Namespace(seeds=1, limit=60.0)
    methods = [
        *frontier.every("native"),
        *load("frontier_settings").choose(
            block.setup(), block.split(), ["users:9999"], ["native"], bar=0.15, limit=60.0
        )[0],
    ]
    split = block.split()
    user = split.train.users.take([7])[0]
    cell = frontier.cell(options, block, split, f"user:{user}", methods)
    rows = {row["name"]: row for row in cell["methods"]}
    assert rows["native"]["retrain_gap"]["mean"] < 1e-6 < 1.0 == pytest.approx(rows["no_op"]["retrain_gap"]["mean"])
    assert cell["request"] == "user" and str(user) not in json.dumps(cell)


@pytest.mark.parametrize(
    ("model", "objective", "methods", "told"),
    [
        ("mf", "bpr,epochs=many", "iau", "epochs"),
        ("nothing", "bpr", "iau", "`nothing` is no model"),
        ("mf", "bpr", "iau:lr=-1,gif", "`lr` must be positive"),
    ],
)
def test_what_does_not_exist_ends_it_before_any_work(
    load: Any, model: str, objective: str, methods: str, told: str
) -> None:
    frontier = load("frontier")
    with pytest.raises(SystemExit, match=told):
        frontier.readable([frontier.Block(None, model, objective)], methods, ())


def test_who_is_not_there_ends_it_before_any_work(load: Any) -> None:
    frontier = load("frontier")
    with pytest.raises(SystemExit, match="'nobody'"):
        frontier.readable([frontier.Block(None, "mf", "whole_data")], "iau", ["users:20", "user:nobody"])


def test_cells_without_a_gap_end_without_a_picture(benchmark: Any, tmp_path: Path) -> None:
    out, picture = tmp_path / "out.json", tmp_path / "frontier.png"
    flags = ("--quick", "--no-tune", "--methods", "graph_drop", "--delete", "users:2000", "users:200")
    done = benchmark("frontier", *flags, "--json", out, "--figure", picture, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in ("asks for 2000 users", "no retrain_gap: nobody who remains", "nothing to draw"):
        assert told in done.stdout
    assert len(json.loads(out.read_text("utf-8"))["cells"]) == 2 and not picture.exists()


def test_what_only_its_cell_can_refuse_is_passed_over_by_the_choice(load: Any) -> None:
    settings, split = load("frontier_settings"), ratio(synthetic(60, 40, 900, seed=0))
    setup = load("frontier").Block(None, "mf:dim=8", "whole_data").setup()
    chosen, tried = settings.choose(setup, split, ["ties:5", "users:3"], ["graph_drop"], bar=0.15, limit=60.0)
    assert chosen == [] and [one.method for one in tried] == ["graph_drop"] and tried[0].gap > 0
