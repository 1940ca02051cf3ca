"""Runs as MLflow keeps them."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from unlearn.tracking import MlflowTracker, lineage
from unlearn.tracking.reach import StoreUnavailable


def test_a_child_run_names_its_parent_and_both_end(tracker: MlflowTracker) -> None:
    tags = lineage(method="reconverge", parent_model="m-1", request_digest="ab" * 32)
    with tracker.run("evaluation") as parent, tracker.run("reconverge", tags=tags, nested=True) as child:
        pass
    kept = tracker._client.get_run(child.id)
    assert kept.data.tags["mlflow.parentRunId"] == parent.id
    assert kept.data.tags["unlearn.method"] == "reconverge"
    assert kept.data.tags["unlearn.parent_model"] == "m-1"
    assert kept.data.tags["unlearn.request_digest"] == "ab" * 32
    assert kept.info.run_name == "reconverge"
    assert kept.info.status == tracker._client.get_run(parent.id).info.status == "FINISHED"


def test_a_run_beside_another_is_no_child(tracker: MlflowTracker) -> None:
    with tracker.run("one"), tracker.run("two") as second:
        pass
    assert "mlflow.parentRunId" not in tracker._client.get_run(second.id).data.tags


def test_a_child_without_a_parent_is_refused(tracker: MlflowTracker) -> None:
    with pytest.raises(RuntimeError, match="open the parent run first"), tracker.run("child", nested=True):
        pass


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for place in (tmp_path, "/proc/runs.db", "sqlite:////proc/nope/runs.db"):
        with pytest.raises(StoreUnavailable, match=f"^{place} cannot be used as an MLflow store"):
            MlflowTracker(place)


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_an_exception_ends_the_run_and_goes_on(tracker: MlflowTracker, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), tracker.run("unlucky"):
        raise error
    (kept,) = tracker._client.search_runs([tracker.experiment_id])
    assert kept.info.status == status
    with tracker.run("next") as run:
        assert "mlflow.parentRunId" not in tracker._client.get_run(run.id).data.tags


def test_params_of_any_number_and_kind(tracker: MlflowTracker) -> None:
    many = {f"p{i}": i for i in range(250)} | {"ks": [5, 20], "data": Path("d"), "name": "lightgcn", "split": None}
    with tracker.run("params") as run:
        run.params(many)
    kept = tracker._client.get_run(run.id).data.params
    assert len(kept) == 254
    assert (kept["p249"], kept["ks"], kept["data"], kept["name"]) == ("249", "[5, 20]", '"d"', "lightgcn")


def test_metrics_with_nan_none_and_steps(tracker: MlflowTracker) -> None:
    with tracker.run("metrics") as run:
        run.metrics({"recall_at_20": 0.28, "forget_auc": math.nan, "score_bound": None})
        for step in range(3):
            run.metrics({"residual": 1 / (step + 1)}, step=step)
    kept = tracker._client.get_run(run.id).data.metrics
    assert kept["recall_at_20"] == 0.28
    assert math.isnan(kept["forget_auc"])
    assert "score_bound" not in kept
    assert [m.value for m in tracker._client.get_metric_history(run.id, "residual")] == [1.0, 0.5, 1 / 3]


def test_more_metrics_than_one_batch_holds(tracker: MlflowTracker) -> None:
    with tracker.run("many") as run:
        run.metrics({f"m{i}": i for i in range(1_001)})
    assert len(tracker._client.get_run(run.id).data.metrics) == 1_001


def test_all_bad_names_at_once_and_nothing_kept(tracker: MlflowTracker) -> None:
    with tracker.run("bad") as run, pytest.raises(ValueError, match="recall_at_20") as caught:
        run.metrics({"fine": 1.0, "recall@20": 0.3, "": 1.0})
    assert str(caught.value).count("\n- ") == 2
    assert tracker._client.get_run(run.id).data.metrics == {}


NAMES = ["a", "a/b", ".a", "a..b", "a/..b", "a.", "..", ".", "...", "..a", "/a", "a/", "a//b", "a/./b", "a/../b",
         "../a", "a@b", "a/@", "", " ", "a" * 250, "a" * 251, "/" + "a" * 250]  # fmt: skip


def test_a_name_is_refused_where_mlflow_refuses_it_and_another_is_offered(tracker: MlflowTracker) -> None:
    refused: list[str] = []
    for name in NAMES:
        with tracker.run("names") as run:
            try:
                tracker._client.log_metric(run.id, name, 1.0)
            except MlflowException:
                refused.append(name)
                for keep in (run.metrics, run.params):
                    with pytest.raises(ValueError, match="the name of a") as caught:
                        keep({name: 1.0})
                    keep({ast.literal_eval(str(caught.value).rpartition("write ")[2]): 1.0})
            else:
                run.metrics({name: 1.0})
                run.params({name: 1.0})
    assert len(NAMES) > len(refused) > 10


def test_a_value_too_long_is_refused_rather_than_cut_off(tracker: MlflowTracker) -> None:
    with tracker.run("long") as run, pytest.raises(ValueError, match="`artifact`"):
        run.params({"history": "x" * 6_001})


def test_artifacts_and_figures_arrive_whole(tracker: MlflowTracker, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    table = tmp_path / "any.txt"
    table.write_text("a table", "utf-8")
    with tracker.run("artifacts") as run:
        run.artifact("reports/methods.json", {"methods": [{"name": "no_op", "gap": float("nan")}]})
        run.artifact("table.txt", table)
        run.artifact("named.txt", str(table))
        run.figure("plots/shift.svg", Figure())
    root = Path(tracker._client.download_artifacts(run.id, "", str(tmp_path)))
    methods = json.loads((root / "reports/methods.json").read_text("utf-8"))
    assert methods == {"methods": [{"name": "no_op", "gap": None}]}
    assert (root / "table.txt").read_text("utf-8") == (root / "named.txt").read_text("utf-8") == "a table"
    assert "<svg" in (root / "plots/shift.svg").read_text("utf-8")


def test_a_dataset_is_a_digest_and_counts(tracker: MlflowTracker) -> None:
    with tracker.run("data") as run:
        run.dataset("lastfm", digest="c0ffee" * 11, counts={"users": 3, "interactions": 7}, context="forget")
    (kept,) = tracker._client.get_run(run.id).inputs.dataset_inputs
    assert kept.dataset.digest == ("c0ffee" * 11)[:32]
    assert json.loads(kept.dataset.profile) == {"users": 3, "interactions": 7}
    assert [(t.key, t.value) for t in kept.tags] == [("mlflow.data.context", "forget")]


def test_a_dataset_refuses_ids_in_every_place(tracker: MlflowTracker) -> None:
    with tracker.run("data") as run, pytest.raises(ValueError, match="never an id") as caught:
        run.dataset("lastfm", digest="user-17", counts={"users": ["u1"], "items": 2}, context="forget")  # pyright: ignore
    assert str(caught.value).count("\n- ") == 2


def test_global_state_and_working_directory_stay_as_they_were(
    location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = mlflow.get_tracking_uri()
    with MlflowTracker(location).run("quiet") as run:
        run.artifact("a.json", {"a": 1})
        assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == before
    assert list(elsewhere.iterdir()) == []
    assert list((tmp_path / "mlflow-artifacts").rglob("a.json"))


def test_an_experiment_is_found_again(location: Path) -> None:
    assert (
        MlflowTracker(location, experiment="e").experiment_id == MlflowTracker(location, experiment="e").experiment_id
    )


@pytest.mark.parametrize("wrong", ["file:///tmp/mlruns", ".", "databricks"])  # the last: without an account
def test_a_location_that_cannot_work_is_refused(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreUnavailable, match="cannot be used as an MLflow store"):
        MlflowTracker(wrong)
    assert not list(tmp_path.iterdir())
