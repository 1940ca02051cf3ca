"""`unlearn train`: what it makes, says, keeps and tracks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys import workspace
from recsys.closed_form import ClosedForm, registered
from recsys.commands.build import load_split
from recsys.commands.options import Setup
from recsys.data import Interactions
from recsys.problem import RecommenderProblem
from tests.cli.run import SMALL, answer, lists, naming, refusal, unlearn
from unlearn.forget import ForgetSet
from unlearn.tracking import MlflowTracker


def test_train_says_what_it_made(trained: tuple[Path, Any], data: Interactions) -> None:
    out, said = trained
    assert said.keys() == {
        "out", "model", "model_arguments", "users", "items", "interactions", "held_out", "ratings_left_out", "seconds",
        "residual", "caveat", "metrics",
    }  # fmt: skip
    assert (said["out"], said["users"], said["items"]) == (str(out), 60, 40)
    assert said["interactions"] == len(data)
    assert 0 < said["residual"] < 0.1
    assert {"recall_at_10", "recall_at_20", "ndcg_at_20"} <= said["metrics"].keys()
    assert {path.name for path in out.iterdir()} == {"interactions.parquet", "model"}
    # Nothing staged is left beside it; a lock is an empty file.
    assert {path.name: path.is_file() for path in out.parent.iterdir()} == {"model": False, ".model.unlearn-lock": True}


def test_a_model_that_is_too_narrow_says_so(table: Path, tmp_path: Path) -> None:
    options = ("--data", table, "--l2", "0.01", "--dim")
    said = answer("train", *options, "4", "--out", tmp_path / "narrow")["caveat"]
    assert said is not None and "all 4 columns" in said
    assert answer("train", *options, "40", "--out", tmp_path / "wide")["caveat"] is None
    assert "--dim auto" in said
    enough = answer("train", *options, "auto", "--out", tmp_path / "auto")
    assert enough["caveat"] is None and enough["model_arguments"] == {"dim": 40, "layers": 3}  # as many as items
    assert f"Note: {said}" in unlearn("forget", "--model", tmp_path / "narrow", "--item", "101").stdout


@pytest.mark.parametrize(
    ("kind", "objective"),
    [("mf", "whole_data"), ("lightgcn", "multinomial"), ("lightgcn", "bpr"), ("mf", "sampled_softmax")],
)
def test_every_model_and_objective_goes_all_the_way(
    kind: str, objective: str, table: Path, data: Interactions, tmp_path: Path
) -> None:
    out, (gone, stays) = tmp_path / "model", map(str, data.users.ids[:2])
    short = ("--epochs", "2") if objective in ("bpr", "sampled_softmax") else ()
    asked = ("--model", kind, "--objective", objective, "--dim", "4", "--seed", "3", *short)
    answer("train", "--data", table, "--out", out, *asked)
    said = answer("forget", "--model", out, "--user", gone)
    assert (said["forgotten"]["users"], said["interactions_removed"]) == (1, int(data.degrees()[0][0]))
    assert len(lists(out, stays)[stays]) == 5
    refusal(3, "forget", "--model", out, "--user", gone)


@pytest.mark.parametrize("name", sorted(registered()))
def test_every_closed_form_goes_all_the_way(name: str, table: Path, data: Interactions, tmp_path: Path) -> None:
    out, (gone, stays) = tmp_path / "model", map(str, data.users.ids[:2])
    said = answer("train", "--data", table, "--out", out, "--model", name, "--seed", "3")
    assert said["metrics"]["recall_at_20"] > 0.5 and said["residual"] is None
    before = workspace.load(out)
    after = answer("forget", "--model", out, "--user", gone)
    assert (after["method"], after["residual_after"]) == ("native", None)
    assert after["interactions_removed"] == int(data.degrees()[0][0])
    assert isinstance(before, ClosedForm)
    loaded, expected = workspace.load(out), before.forget(ForgetSet(users=(gone,)))
    rows = np.arange(1, 60)
    assert torch.equal(loaded.scores(rows), expected.scores(rows))  # pyright: ignore[reportAttributeAccessIssue]
    assert loaded.history == expected.history
    assert len(lists(out, stays)[stays]) == 5
    assert naming(out, [gone]) == set()


def test_what_training_kept_serves_a_later_request(table: Path, data: Interactions, tmp_path: Path) -> None:
    asked = ("--objective", "bpr:negatives=2", "--dim", "4", "--epochs", "10", "--batch-size", "100")
    train = ("train", "--data", table, "--seed", "3", "--lr", "0.01", *asked)
    answer(*train, "--out", tmp_path / "plain")
    answer(*train, "--out", tmp_path / "kept", "--keep", "checkpoints, optimizer")
    plain, kept = (workspace.load(tmp_path / name) for name in ("plain", "kept"))
    assert isinstance(kept, RecommenderProblem)
    assert not plain.history.has("checkpoints") and not plain.history.has("optimizer")
    assert [one.epoch for one in kept.history.checkpoints] == [5, 10]  # a short run keeps one every half of it
    assert torch.equal(kept.history.checkpoints[-1].params["table"], kept.params["table"])
    assert kept.history.optimizer is not None and kept.history.optimizer.steps == 10 * -(-len(data) // 100)
    assert (kept.options.batch_size, kept.options.lr) == (100, 0.01)
    assert kept.objective_function.arguments()["negatives"] == 2


def test_training_stops_where_it_is_told_to(table: Path, tmp_path: Path) -> None:
    train = ("train", "--data", table, "--dim", "4", "--seed", "3")
    residuals: list[float] = []
    for most in (2, 8):
        out = tmp_path / str(most)
        residuals.append(answer(*train, "--max-iterations", most, "--out", out)["residual"])
        kept = workspace.load(out)
        assert isinstance(kept, RecommenderProblem) and kept.options.max_iterations == most
        again = kept.fit()  # what a scheduled retrain does
        assert torch.equal(again.params["table"], kept.params["table"])
    assert residuals[1] < 0.5 * residuals[0]


def test_ratings_below_the_threshold_are_told(tmp_path: Path) -> None:
    log, out = tmp_path / "rated.csv", tmp_path / "model"
    ratings = "".join(f"u{user},{item},{1 + (user + item) % 5}\n" for user in range(20) for item in range(10))
    log.write_text("user,item,rating\n" + ratings, "utf-8")
    train = ("train", "--data", log, "--out", out, "--dim", "2")
    shown = unlearn(*train).stdout
    assert "120 ratings below 4 left out (--threshold)" in shown
    said = answer(*train, "--threshold", "3.5")
    assert (said["interactions"] < 80, said["ratings_left_out"]) == (True, 120)
    assert answer(*train, "--threshold", "2")["ratings_left_out"] == 40
    told = refusal(2, *train, "--threshold", "6")
    assert "at least one interaction (got none: all 200 ratings are below 6)" in told


def test_a_log_in_which_pairs_repeat_is_told_what_counts(table: Path, data: Interactions, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    lines = table.read_text().splitlines()
    log.write_text("\n".join([*lines, *lines[1:9]]))
    said = refusal(2, "train", "--data", log, "--out", tmp_path / "model")
    assert "occur together only once (8 bad" in said and "--duplicates" in said
    once = answer("train", "--data", log, *SMALL, "--seed", "3", "--duplicates", "first", "--out", tmp_path / "model")
    assert once["interactions"] == len(data)
    assert "`duplicates` must be" in refusal(2, "train", "--data", log, "--duplicates", "all", "--out", tmp_path / "x")


def test_columns_of_unusual_names_are_named(table: Path, data: Interactions, tmp_path: Path) -> None:
    renamed = tmp_path / "sales.csv"
    buyers = [f"{number},{line}" for number, line in enumerate(table.read_text("utf-8").splitlines()[1:])]
    renamed.write_text("\n".join(["no,buyer,sku,of=what", *(f"{line},5" for line in buyers)]), "utf-8")
    asked = ("train", "--data", renamed, "--out", tmp_path / "model", *SMALL, "--seed", "3")
    assert "--column user=..." in refusal(2, *asked)
    named = ("--column", "user=buyer", "--column", "item=sku", "--column", "rating=of=what")
    assert answer(*asked, *named)["interactions"] == len(data)
    assert workspace.load(tmp_path / "model").data.digest() == data.digest()
    told = refusal(2, *asked, "--column", "buyer=user", "--column", "item=", "--column", "sku", *named, *named[:2])
    assert all(f"(got {text!r})" in told for text in ("buyer=user", "item=", "sku"))
    assert "`--column` must name one column for user" in told and "one column for rating" not in told
    assert "column `seller` must exist" in refusal(2, *asked, "--column", "user=seller", *named[2:4])


def test_what_diverged_is_not_kept(table: Path, tmp_path: Path) -> None:
    asked = ("--objective", "bpr", "--dim", "4", "--epochs", "2", "--lr", "1e20")
    said = refusal(1, "train", "--data", table, "--out", tmp_path / "model", *asked)
    assert "parameters must be finite to be saved" in said and "`table`" in said and "learning rate" in said
    assert not (tmp_path / "model").exists()


def test_nobody_held_out_is_no_figure(tmp_path: Path) -> None:
    log = tmp_path / "few.csv"
    log.write_text("user,item\na,1\na,2\nb,1\nb,3\n", "utf-8")
    said = answer("train", "--data", log, "--out", tmp_path / "model", "--dim", "2", "--split", "ratio", "--seed", "0")
    assert said["interactions"] == 4
    assert said["metrics"]["recall_at_20"] is None


def test_a_model_that_is_to_serve_learns_from_everything(table: Path, tmp_path: Path) -> None:
    asked = ("--data", table, "--out", tmp_path / "model", *SMALL)
    part, whole = answer("train", *asked), answer("train", *asked, "--split", "none")
    assert whole["interactions"] == len(table.read_text().splitlines()) - 1
    assert part["interactions"] + part["held_out"] == whole["interactions"] and part["held_out"] > 0
    assert (whole["held_out"], whole["metrics"]) == (0, {})
    told = unlearn("train", *asked, "--split", "none").stdout
    assert "held out" not in told and "nan" not in told
    for command in (
        ("evaluate", "--delete", "users:2"),
        ("audit", "--delete", "users:2"),
        ("worst-case", "--budget", "users:2"),
    ):
        assert "must hold something out" in refusal(2, *command, "--data", table, "--split", "none", *SMALL)


def test_runs_that_trained_otherwise_differ_in_mlflow(table: Path, location: Path, tmp_path: Path) -> None:
    for epochs in ("1", "2"):
        asked = ("--objective", "bpr", "--epochs", epochs, "--lr", "0.01", "--dim", "4")
        answer("train", "--data", table, "--out", tmp_path / "model", "--track", location, *asked)
    client = MlflowTracker(location)._client
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    assert {run.data.params["epochs"] for run in runs} == {"1", "2"}
    assert {run.data.params["lr"] for run in runs} == {"0.01"}


def test_the_experiment_is_the_one_that_mlflow_is_told(
    table: Path, location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "shop")
    answer("train", "--data", table, "--out", tmp_path / "model", "--track", location, *SMALL)
    client = MlflowTracker(location, experiment="other")._client
    counts = {one.name: len(client.search_runs([one.experiment_id])) for one in client.search_experiments()}
    assert counts == {"shop": 1, "other": 0, "Default": 0}


def test_training_is_tracked_without_ids(table: Path, data: Interactions, location: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    said = answer("train", "--data", table, "--out", out, "--track", location, *SMALL)
    client = MlflowTracker(location)._client
    (run,) = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    expected = {"model": "lightgcn", "dim": "6", "layers": "2", "objective": "whole_data", "a": "0.1", "l2": "1.0"}
    expected |= {"data": "log.csv", "max_iterations": "2000"}
    assert expected.items() <= run.data.params.items()
    for figure, value in {**said["metrics"], "seconds": said["seconds"], "residual": said["residual"]}.items():
        assert run.data.metrics[figure] == pytest.approx(value)
    assert client.get_logged_model(said["model_id"]).name == "lightgcn"
    shutil.rmtree(out)
    assert naming(tmp_path, data.users.ids) == {"users.parquet"}  # the model's own vocabulary, and nothing else


def test_every_number_out_of_range_is_told_at_once(table: Path, tmp_path: Path) -> None:
    train = ("train", "--data", table, "--out", tmp_path / "model")
    said = refusal(2, *train, "--layers", "-1", "--l2", "-3", "--a", "0", "--max-iterations", "0")
    assert all(f"`{name}` must be" in said for name in ("layers", "l2", "a", "max_iterations"))
    assert not (tmp_path / "model").exists()


def test_what_is_wrong_with_the_data_and_with_the_model_is_told_at_once(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.csv"
    for wrong, told in (
        ({"model": "nope", "device": "nope"}, ["`device`", "`nope` is no model"]),
        ({"dim": 0, "l2": -1.0}, ["`dim` must be a positive integer", "`l2` must be at least 0"]),
        ({"model": "ease", "epochs": 3}, ["`--epochs` must go with a model that an objective trains"]),
        ({}, []),
    ):
        with pytest.raises(ValueError) as error:
            load_split(Setup(data=nowhere, **wrong), 0)  # pyright: ignore[reportArgumentType]
        first, *others = str(error.value).splitlines()
        assert first.startswith(f"`{nowhere}` must be a file")
        assert all(other.startswith(text) for other, text in zip(others, told, strict=True))
