"""Purged means gone: searched for byte by byte in the artifacts and in the database file."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Feedback, LoggedModelInput, TraceInfo, TraceLocation, TraceState

from tests.unlearn.tracking.tables import rows, tables_with
from unlearn.tracking import MlflowTracker, Purged
from unlearn.tracking.copies import Copies
from unlearn.tracking.purge import PurgeRefused, rewrite


def holders(root: Path, canary: str) -> list[str]:
    """Files under `root` that contain the canary."""
    return [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and canary.encode() in p.read_bytes()]


def test_a_purged_run_and_its_model_leave_no_byte(
    tracker: MlflowTracker, stored_model: Callable[..., Path], offered_ranker: str, tmp_path: Path
) -> None:
    gone, stays = secrets.token_hex(16), secrets.token_hex(16)
    directory = stored_model(offered_ranker, users=(gone, "bob"))
    with tracker.run(f"run {gone}", tags={"note": gone}) as run:
        run.params({"note": gone})
        run.metrics({f"m_{gone}": 1.0})
        run.artifact("note.json", {"note": gone})
        run.model(directory, name="lightgcn", tags={"note": gone})
    with tracker.run("other") as other:
        other.params({"note": stays})
        other.artifact("note.json", {"note": stays})
    for file in directory.iterdir():
        file.unlink()
    assert {"mlflow.db"} < set(holders(tmp_path, gone))

    assert tracker.purge(runs=[run.id]) == Purged(runs=1, models=1)

    assert holders(tmp_path, gone) == []
    assert len(holders(tmp_path, stays)) == 2
    assert tracker._client.get_run(other.id).data.params == {"note": stays}


def test_a_model_is_purged_alone_even_when_registered_and_deleted(
    tracker: MlflowTracker,
    stored_model: Callable[..., Path],
    offered_ranker: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)  # registering looks models up there
    gone = secrets.token_hex(16)
    directory = stored_model(offered_ranker, users=(gone, "bob"))
    with tracker.run("train") as run:
        model_id = run.model(directory, name="lightgcn")
    for file in directory.iterdir():
        file.unlink()
    tracker._client.create_registered_model("served")
    version = tracker._client.create_model_version("served", f"models:/{model_id}", model_id=model_id)
    tracker._client.copy_model_version(f"models:/served/{version.version}", "promoted")
    tracker._client.delete_logged_model(model_id)
    assert holders(tmp_path, gone) != []  # deleting, as MLflow means it, destroys nothing

    assert tracker.purge(models=[model_id]) == Purged(runs=0, models=1)

    assert holders(tmp_path, gone) == []
    assert holders(tmp_path / "mlflow-artifacts", model_id) == []
    assert tracker._client.search_model_versions() == []
    assert tracker._client.get_run(run.id).info.status == "FINISHED"


def test_artifacts_go_whose_rows_are_gone(
    tracker: MlflowTracker, stored_model: Callable[..., Path], offered_ranker: str, tmp_path: Path
) -> None:
    """As where somebody has removed the file of the store, which was made anew then, but not the artifacts beside."""
    gone = secrets.token_hex(16)
    directory = stored_model(offered_ranker, users=(gone, "bob"))
    with tracker.run("train") as run:
        listed, other = (run.model(directory, name="lightgcn") for _ in range(2))
    for file in directory.iterdir():
        file.unlink()
    for model_id in (listed, other):
        tracker._client._tracking_client.store._hard_delete_logged_model(model_id)

    for wrong in ("", ".", "../models", "m-1"):  # which are no model's, and would name a folder of others
        assert tracker.purge(models=[wrong]) == Purged(runs=0, models=0)
    assert len(holders(tmp_path, gone)) == 2
    tracker.purge(models=[listed])
    (left,) = holders(tmp_path, gone)
    assert other in left


def test_deleted_rows_leave_the_database_file(tmp_path: Path) -> None:
    gone, file = secrets.token_hex(16), tmp_path / "rows.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite overwrite rows by themselves
        connection.execute("CREATE TABLE note (text TEXT)")
        connection.execute("INSERT INTO note VALUES (?)", (gone,))
        connection.commit()
        connection.execute("DELETE FROM note")
        connection.commit()
    assert holders(tmp_path, gone) == ["rows.db"]
    rewrite(file)
    assert holders(tmp_path, gone) == []


@pytest.mark.parametrize("uri", ["sqlite:///{}?timeout=30", "sqlite+pysqlite:///{}"])
def test_deleted_rows_leave_the_file_whatever_its_driver_is_told(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, file = secrets.token_hex(16), tmp_path / "mlflow.db"
    tracker = MlflowTracker(uri.format(file))
    assert tracker.uri == uri.format(file)
    with tracker.run(gone, tags={"note": gone}) as run:
        pass
    copies = Copies(tmp_path / "copies.jsonl")
    copies.add(tracker.uri, "m-0123456789abcdef0123456789abcdef")
    kept, connect = sqlite3.connect, list[str]()

    def connected(path: Path, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connect.append(str(path))
        return kept(path, *arguments, **named)

    monkeypatch.setattr("unlearn.tracking.purge.sqlite3.connect", connected)
    assert tracker.purge(runs=[run.id]) == Purged(runs=1, models=0)
    assert copies.destroy() == []
    assert holders(tmp_path, gone) == [] and str(file) in connect
    assert {one.name for one in tmp_path.iterdir()} <= {"mlflow.db", "mlflow-artifacts"}


def test_a_log_that_somebody_reads_is_not_said_to_be_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, file = secrets.token_hex(16), tmp_path / "rows.db"
    monkeypatch.setattr("unlearn.tracking.purge._PATIENCE", 0.1)
    with contextlib.closing(sqlite3.connect(file)) as writer, contextlib.closing(sqlite3.connect(file)) as reader:
        writer.execute("PRAGMA journal_mode = WAL")  # of stores that `mlflow migrate-filestore` makes
        writer.execute("CREATE TABLE note (text TEXT)")
        writer.execute("INSERT INTO note VALUES (?)", (gone,))
        writer.commit()
        writer.execute("DELETE FROM note")
        writer.commit()
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM note").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            rewrite(file)
        assert holders(tmp_path, gone) != []
        reader.execute("COMMIT")
        rewrite(file)
        assert holders(tmp_path, gone) == []


def traced(tracker: MlflowTracker, note: str, **by: str) -> str:
    """A trace that says `note`, made by a run (`sourceRun`) or a model (`modelId`), with an artifact."""
    made = TraceInfo(
        f"tr-{secrets.token_hex(16)}",
        TraceLocation.from_experiment_id(tracker.experiment_id),
        1,
        TraceState.OK,
        request_preview=note,
        trace_metadata={f"mlflow.{key}": value for key, value in by.items()},
    )
    kept = store_of(tracker).start_trace(made)
    folder = Path(kept.tags["mlflow.artifactLocation"].removeprefix("file://"))
    folder.mkdir(parents=True)
    (folder / "traces.json").write_text(note, "utf-8")
    return kept.trace_id


def store_of(tracker: MlflowTracker) -> Any:
    return tracker._client._tracking_client.store


def test_no_table_names_what_was_purged(
    tracker: MlflowTracker, location: Path, stored_model: Callable[..., Path], offered_ranker: str, tmp_path: Path
) -> None:
    """A row at least in each table of MLflow that can name a run or a model of it."""
    client, store = tracker._client, store_of(tracker)
    note, digest = secrets.token_hex(16), secrets.token_hex(16)
    directory = stored_model(offered_ranker)
    with tracker.run("stays") as stays:
        stays.dataset("train", digest="5" * 32, counts={"users": 9}, context="train")
        kept = stays.model(directory, name="kept")
    seen = traced(tracker, "all is well", sourceRun=stays.id)
    before = rows(location)

    with tracker.run("gone", tags={"note": note}) as run:
        run.params({"note": note})
        run.dataset("requests", digest=digest, counts={"users": 1}, context="forget")
        run.dataset("train", digest="5" * 32, counts={"users": 9}, context="train")
        made = run.model(directory, name="made", tags={"note": note})
        # What a process leaves that dies before the run lists its model.
        lost = client.create_logged_model(tracker.experiment_id, name="lost", source_run_id=run.id).model_id
        for model_id in (kept, made):
            client.log_metric(run.id, "m", 1.0, model_id=model_id, dataset_name="requests", dataset_digest=digest)
        with tracker.run("child", nested=True) as child:
            client.log_inputs(child.id, models=[LoggedModelInput(made)])
    traced(tracker, note, sourceRun=run.id)
    traced(tracker, note, modelId=made)
    store.link_traces_to_run([seen], run.id)
    said = Feedback("fine", value=note, trace_id=seen, metadata={"mlflow.assessment.sourceRunId": run.id})
    store.create_assessment(said)
    store.create_issue(tracker.experiment_id, "late", "answers late", source_run_id=run.id)
    client.create_registered_model("served")
    for source, of in ((client.get_logged_model(made).artifact_location, None), (f"{tmp_path}/elsewhere", run.id)):
        version = client.create_model_version("served", source, run_id=of, tags={"model": made, "note": note})
        client.set_registered_model_alias("served", f"alias{version.version}", version.version)
    canaries = [run.id, made, lost, digest, note]
    assert tables_with(location, canaries) == {
        "runs", "tags", "params", "metrics", "latest_metrics", "inputs", "datasets", "logged_models",
        "logged_model_tags", "logged_model_metrics", "trace_info", "trace_request_metadata", "entity_associations",
        "assessments", "issues", "model_versions", "model_version_tags",
    }  # fmt: skip

    assert tracker.purge(runs=[run.id]) == Purged(runs=1, models=2)

    assert tables_with(location, canaries) == set()
    assert [file for canary in canaries for file in holders(tmp_path, canary)] == []
    after = rows(location)
    assert set(before) <= set(after)
    new = Counter(table for table, _ in set(after) - set(before))
    assert new == {"runs": 1, "tags": 1, "issues": 1, "registered_models": 1, "model_versions": 2}  # child, its name


def test_a_dataset_goes_with_the_last_run_that_used_it(tracker: MlflowTracker, location: Path) -> None:
    digest, ids = secrets.token_hex(16), list[str]()
    for _ in range(2):
        with tracker.run("run") as run:
            run.dataset("requests", digest=digest, counts={"users": 1}, context="forget")
        ids.append(run.id)
    tracker.purge(runs=ids[:1])
    (used,) = tracker._client.get_run(ids[1]).inputs.dataset_inputs
    assert (used.dataset.digest, used.tags[0].value) == (digest, "forget")
    tracker.purge(runs=ids[1:])
    assert not {"datasets", "inputs", "input_tags"} & {table for table, _ in rows(location)}


def test_a_purge_finishes_one_that_died_between_the_row_and_its_links(
    tracker: MlflowTracker, location: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = secrets.token_hex(16)
    with tracker.run("run") as run:
        run.dataset("requests", digest=digest, counts={"users": 1}, context="forget")

    def dying(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("unlearn.tracking.purge.sweep", dying)
        with pytest.raises(KeyboardInterrupt):
            tracker.purge(runs=[run.id])
    assert tables_with(location, [run.id, digest]) == {"inputs", "datasets"}
    assert tracker.purge(runs=[run.id]) == Purged(runs=0, models=0)
    assert holders(tmp_path, run.id) == holders(tmp_path, digest) == []


def test_a_second_purge_finds_nothing_to_do(tracker: MlflowTracker) -> None:
    with tracker.run("empty") as run:
        pass
    assert tracker.purge(runs=[run.id, run.id]) == Purged(runs=1, models=0)
    assert tracker.purge(runs=[run.id], models=["m-0123456789abcdef0123456789abcdef"]) == Purged(runs=0, models=0)


def test_over_http_a_purge_is_refused() -> None:
    import mlflow

    from unlearn.tracking.purge import purge

    with pytest.raises(PurgeRefused, match="backend store"):
        purge(mlflow.MlflowClient("http://127.0.0.1:9"), "http://127.0.0.1:9", runs=["a"], models=[])
