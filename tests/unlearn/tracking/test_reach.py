"""A store that cannot be used is refused in seconds, by one error; MLflow alone tries for minutes."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from unlearn.tracking import MlflowTracker
from unlearn.tracking.reach import StoreUnavailable

SECONDS = 20.0  # of a machine that others use, too


class Busy(BaseHTTPRequestHandler):
    """A server that is there, and for nobody."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def busy() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def refused(location: str | Path) -> str:
    """What is said of a location, within seconds; the environment is as it was."""
    before, started = dict(os.environ), time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        MlflowTracker(location)
    assert time.monotonic() - started < SECONDS
    assert {name for name in os.environ if name.startswith(("MLFLOW_HTTP", "PG"))} <= before.keys()
    told = str(caught.value)
    assert "\n" not in told and "; name a SQLite file that can be written, or the URI of a server that runs" in told
    return told


def test_nobody_is_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert f"http://127.0.0.1:{port} cannot be used as an MLflow store (connection refused)" in refused(
        f"http://127.0.0.1:{port}"
    )
    told = refused(f"postgresql://ann:secret@127.0.0.1:{port}/runs")
    assert told.startswith(f"postgresql://ann:***@127.0.0.1:{port}/runs") and "Connection refused" in told


def test_somebody_is_there_who_does_not_answer(port: int, busy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "503" in refused(busy)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # what the environment says goes before
    started = time.monotonic()
    assert "(timed out)" in refused(f"http://127.0.0.1:{port}")
    assert time.monotonic() - started < 8.0


def test_a_file_that_others_hold_or_that_is_none(location: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("nothing that SQLite knows" * 9, "utf-8")
    assert "(file is not a database)" in refused(tmp_path / "notes.db")
    with closing(sqlite3.connect(location, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "(database is locked)" in refused(f"sqlite:///{location}")


def test_a_file_of_other_tables_is_told_by_one_error_and_no_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE experiments (number INTEGER)")
    assert "no such column" in refused(tmp_path / "other.db")
    assert capfd.readouterr().err == ""


def test_a_disk_too_small_for_the_tables(tmp_path: Path) -> None:
    """Of a store made anew MLflow lets through what SQLAlchemy raises."""
    program = """
import resource, signal, sys
from unlearn.tracking import MlflowTracker
from unlearn.tracking.reach import StoreUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    MlflowTracker(sys.argv[1])
except StoreUnavailable as error:
    print(error)
"""
    command = [sys.executable, "-c", program, tmp_path / "mlflow.db"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert said.count("\n") == 1 and "(disk I/O error)" in said


def test_artifacts_that_cannot_be_written(location: Path) -> None:
    place = location.with_name("mlflow-artifacts")
    place.write_text("a file", "utf-8")
    before = location.read_bytes()
    assert f"its artifacts lie in {place}: {place} is no folder" in refused(location)
    assert location.read_bytes() == before


def test_an_experiment_that_somebody_deleted(tracker: MlflowTracker, location: Path) -> None:
    client = tracker._client
    client.delete_experiment(client.create_experiment("unlearn"))
    assert "its experiment `unlearn` is deleted" in refused(location)


def test_a_store_that_is_lost_on_the_way_ends_its_runs_by_one_error(
    tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise MlflowException("API request failed\nand more")

    monkeypatch.setattr(tracker._client, "log_batch", lost)
    with (
        pytest.raises(StoreUnavailable, match=r"cannot be used as an MLflow store \(API request failed\)"),
        tracker.run("parent"),
        tracker.run("child", nested=True) as child,
    ):
        child.metrics({"recall_at_20": 0.5})
    statuses = [one.info.status for one in tracker._client.search_runs([tracker.experiment_id])]
    assert statuses == ["FAILED", "FAILED"]


def test_an_error_of_ones_own_is_not_the_stores(tracker: MlflowTracker, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), tracker.run("mistaken") as run:
        run.artifact("table.txt", tmp_path / "nowhere.txt")
    with pytest.raises(MlflowException, match="Run with id=nowhere not found"), tracker.run("mistaken"):
        tracker._client.get_run("nowhere")
