"""Purged means gone: searched for byte by byte in the artifacts and in the database file."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from unlearn.tracking import MlflowTracker, Purged
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
    tracker._client.create_model_version("served", f"models:/{model_id}", model_id=model_id)
    tracker._client.delete_logged_model(model_id)
    assert holders(tmp_path, gone) != []  # deleting, as MLflow means it, destroys nothing

    assert tracker.purge(models=[model_id]) == Purged(runs=0, models=1)

    assert holders(tmp_path, gone) == []
    assert holders(tmp_path / "mlflow-artifacts", model_id) == []
    assert tracker._client.search_model_versions("name = 'served'") == []
    assert tracker._client.get_run(run.id).info.status == "FINISHED"


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
    rewrite(str(file))
    assert holders(tmp_path, gone) == []


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
