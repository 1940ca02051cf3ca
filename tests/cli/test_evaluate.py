"""`unlearn evaluate`: the comparison that it writes, prints and tracks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recsys.data import Interactions, ratio, read
from tests.cli.figures import FIGURES
from tests.cli.run import SMALL, naming, refusal, undocumented, unlearn
from unlearn.methods import methods
from unlearn.tracking import MlflowTracker


def test_evaluate_by_several_methods_and_seeds_into_mlflow(
    table: Path, data: Interactions, location: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "result.json"
    done = unlearn(
        "evaluate", "--data", table, "--delete", "random:0.1", "--methods", "reconverge,fine_tune", "--seeds", "2",
        "--seed", "4", "--track", location, "--json", out, *SMALL,
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert "Unlearning against retraining" in done.stderr
    said = json.loads(out.read_text("utf-8"))
    assert undocumented("evaluate", said) == []
    assert said["seeds"] == [4, 5]
    assert {name: said["settings"][name] for name in ("data", "delete", "model", "objective")} == {
        "data": "log.csv", "delete": "random:0.1", "model": "lightgcn", "objective": "whole_data"
    }  # fmt: skip
    found = {row.pop("name"): row for row in said["methods"]}
    assert list(found) == ["no_op", "graph_drop", "reconverge", "fine_tune", "retrain", "placebo"]
    for name in set(found) - {"placebo"}:
        assert found[name].keys() >= FIGURES, name
        for figure in FIGURES - {"score_bound"}:
            assert found[name][figure].keys() == {"mean", "low", "high", "n"}, (name, figure)
    assert found["no_op"]["retrain_gap"]["mean"] == pytest.approx(1.0)
    assert found["no_op"]["score_bound"] is None
    assert found["reconverge"]["score_bound"]["mean"] > 0
    assert found["reconverge"]["retrain_gap"]["mean"] < 0.5 * found["graph_drop"]["retrain_gap"]["mean"]
    assert found["reconverge"]["rows_changed"]["mean"] > found["graph_drop"]["rows_changed"]["mean"] == 0

    client = MlflowTracker(location)._client
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in runs if run is not parent}
    assert children.keys() == found.keys()
    for name, run in children.items():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["unlearn.method"] == name
        assert run.data.metrics["forget_auc"] == pytest.approx(found[name]["forget_auc"]["mean"])
    assert parent.data.params["seeds"] == "[4, 5]"
    assert naming(tmp_path, data.users.ids) == set()


def test_a_model_that_is_too_narrow_is_said_to_be(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    narrow = ("--dim", "4", "--l2", "0.01", "--seeds", "1", "--json", out)
    shown = unlearn("evaluate", "--data", table, "--delete", "users:2", *narrow).stderr
    (request,) = json.loads(out.read_text("utf-8"))["raw"]["requests"]
    assert "all 4 columns" in request["raw"]["caveat"] and "all 4 columns" in " ".join(shown.split())


def test_evaluate_single_users_gives_quantiles(table: Path) -> None:
    done = unlearn(
        "evaluate", "--data", table, "--delete", "one-user:3", "--seeds", "1", "--json", "-", *SMALL
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    row = next(row for row in said["methods"] if row["name"] == "reconverge")
    assert row.keys() - {"name"} >= FIGURES
    assert all({"median", "p90"} <= row[figure].keys() for figure in FIGURES)
    assert {row["name"] for row in said["methods"]} >= {"no_op", "graph_drop", "row_drop", "retrain", "placebo"}


def compared(*arguments: str | Path) -> tuple[Any, dict[str, Any]]:
    """What `unlearn evaluate` says, and its rows by name."""
    done = unlearn("evaluate", *arguments, "--json", "-")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    return said, {row["name"]: row for row in said["methods"]}


def test_every_method_that_applies_on_false_interactions(table: Path) -> None:
    """Also: a closed form, and one corruption of the data for all seeds."""
    said, rows = compared(
        "--data", table, "--model", "ease:l2=20", "--delete", "corrupted:0.2", "--methods", "all", "--seeds", "2"
    )  # fmt: skip
    assert (said["seeds"], said["settings"]["model"]) == ([0, 1], "ease")
    assert said["settings"]["model_arguments"] == {"l2": 20.0, "dtype": "torch.float64"}
    read_again = read(table)
    assert isinstance(read_again, Interactions)
    size = round(0.2 * len(ratio(read_again).refit()))
    assert [request["counts"]["interactions"] for request in said["raw"]["requests"]] == [size, size]
    assert rows.keys() == {*methods(), "placebo"} - {"row_drop"}
    assert "`iau` works on a Problem (got Ease)" in rows["iau"]["reason"]
    assert rows["native"]["retrain_gap"]["mean"] < 1e-6
    # A retrain never saw the false interactions: it ranks true ones of the same users above them.
    assert rows["no_op"]["forget_auc"]["mean"] > rows["native"]["forget_auc"]["mean"] + 0.1
    assert rows["native"]["forget_auc"]["mean"] == rows["retrain"]["forget_auc"]["mean"] < 0.45


def test_arguments_of_methods_and_what_they_require(table: Path) -> None:
    said, rows = compared(
        "--data", table, "--model", "mf:dim=4", "--objective", "bpr", "--epochs", "20", "--lr", "0.05",
        "--delete", "popular-items:2", "--methods", "iau:lr=1e-3,iau:lr=0.3,rewind", "--seeds", "1",
    )  # fmt: skip
    gentle, harsh = rows["iau"], rows["iau:lr=0.3"]
    assert gentle["retrain_gap"]["mean"] < harsh["retrain_gap"]["mean"]
    assert FIGURES - {"score_bound"} <= rows["rewind"].keys()  # training kept the checkpoints that it requires
    assert rows["row_drop"]["retrain_gap"]["mean"] >= 0
    assert said["settings"]["objective"] == "bpr"


def test_methods_that_differ_in_brackets_are_told_apart(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    names = [f"masked:inner=[fine_tune:epochs={epochs}]" for epochs in (1, 2)]
    done = unlearn(
        "evaluate", "--data", table, "--delete", "users:3", "--methods", ",".join(names), "--seeds", "2", *SMALL
    )
    assert done.exit_code == 0 and all(name in done.stdout for name in names), done.output


def test_evaluating_an_unknown_user_is_about_ids(table: Path) -> None:
    assert "nobody" in refusal(3, "evaluate", "--data", table, "--delete", "user:nobody", *SMALL, "--seeds", "1")


def test_a_stream_is_served_one_after_another_shown_and_tracked(table: Path, location: Path, tmp_path: Path) -> None:
    out = tmp_path / "stream.json"
    done = unlearn(
        "evaluate", "--data", table, "--delete", "one-user:5", "--stream", "2", "--methods", "reconverge,native",
        "--seeds", "2", "--track", location, "--json", out, *SMALL,
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert "5 requests, one after another" in done.stderr and "`native` works on a SelfUnlearning" in done.stderr
    said = json.loads(out.read_text("utf-8"))
    assert undocumented("evaluate", said) == []
    assert said["settings"]["delete"] == "one-user:5" and said["reasons"].keys() == {"native"}
    served = {(one["method"], one["seed"]): one["steps"] for one in said["streams"]}
    assert list(served) == [("graph_drop", 0), ("reconverge", 0), ("graph_drop", 1), ("reconverge", 1)]
    for steps in served.values():
        assert [step["number"] for step in steps] == [1, 2, 3, 4, 5]
        assert [step["number"] for step in steps if step["values"]] == [1, 2, 4, 5]
        assert [step["removed"] for step in steps] == sorted(step["removed"] for step in steps)
        assert all(step["residual_after"] > 0 and step["seconds"] > 0 for step in steps)
        last = steps[-1]["values"]
        assert last.keys() >= {"retrain_gap", "gap_floor", "forget_auc", "retrain_auc", "recall_at_20", "ndcg_at_20"}
    for seed in (0, 1):
        gaps = {name: served[name, seed][-1]["values"]["retrain_gap"] for name in ("graph_drop", "reconverge")}
        assert gaps["reconverge"] < 0.6 * gaps["graph_drop"]

    page = tmp_path / "report.html"
    assert unlearn("report", out, "--html", page).exit_code == 0
    view = page.read_text("utf-8").split('<section id="sequence"')[1].split("</section>")[0]
    assert "Not in this audit" not in view and view.count("<svg") >= 4  # gap, residual, utility, debt, seconds
    for title in ("residual after the request", "gap to the retrain of everything so far", "NDCG@20"):
        assert title in view

    client = MlflowTracker(location)._client
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    children = {run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert children.keys() == {"native", *(f"{name}, seed {seed}" for name, seed in served)}
    assert children["native"].data.tags["unlearn.reason"] == said["reasons"]["native"]
    run = children["reconverge, seed 1"]
    kept = client.get_metric_history(run.info.run_id, "retrain_gap")
    expected = [step["values"]["retrain_gap"] for step in served["reconverge", 1] if step["values"]]
    assert [(one.step, one.value) for one in kept] == [
        (step, pytest.approx(value)) for step, value in zip((1, 2, 4, 5), expected, strict=True)
    ]
    assert "`stream` must be a positive integer" in refusal(
        2, "evaluate", "--data", table, "--delete", "one-user:5", "--stream", "0", *SMALL
    )
