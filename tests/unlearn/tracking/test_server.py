"""What was tracked opens in `mlflow server` and is read back over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unlearn.tracking import MlflowTracker, Purged
from unlearn.tracking.purge import PurgeRefused

START_SECONDS = 120


def read(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.fixture
def server(location: Path, tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{location}"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = tmp_path / "server.log"
    with log.open("w") as sink:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=sink, stderr=sink, env=environment)
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None, log.read_text("utf-8")
                    assert time.monotonic() < deadline, log.read_text("utf-8")
                    time.sleep(0.3)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_runs_are_read_back_over_http(
    tracker: MlflowTracker,
    stored_model: Callable[..., Path],
    offered_ranker: str,
    server: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with tracker.run("evaluation") as parent:
        parent.params({"model": "lightgcn"})
        with tracker.run("reconverge", tags={"unlearn.method": "reconverge"}, nested=True) as child:
            child.metrics({"recall_at_20": 0.25})
            child.dataset("synthetic", digest="ab" * 16, counts={"users": 5}, context="forget")
            child.artifact("methods.json", {"methods": []})
            model_id = child.model(stored_model(offered_ranker), name="lightgcn")

    api = f"{server}/api/2.0/mlflow"
    found = read(f"{api}/runs/search", {"experiment_ids": [tracker.experiment_id]})["runs"]
    by_name = {run["info"]["run_name"]: run for run in found}
    assert set(by_name) == {"evaluation", "reconverge"}
    kept = by_name["reconverge"]
    tags = {tag["key"]: tag["value"] for tag in kept["data"]["tags"]}
    assert tags["mlflow.parentRunId"] == by_name["evaluation"]["info"]["run_id"] == parent.id
    assert [(m["key"], m["value"]) for m in kept["data"]["metrics"]] == [("recall_at_20", 0.25)]
    assert kept["inputs"]["dataset_inputs"][0]["dataset"]["profile"] == '{"users": 5}'
    files = read(f"{api}/artifacts/list?run_id={child.id}")["files"]
    assert [file["path"] for file in files] == ["methods.json"]
    assert read(f"{api}/logged-models/{model_id}")["model"]["info"]["status"] == "LOGGED_MODEL_READY"

    # The same tracker speaks to the server.
    remote = MlflowTracker(server, experiment="remote")
    with remote.run("over http") as run:
        run.metrics({"recall_at_20": 0.5})
        run.artifact("note.json", {"over": "http"})
    assert read(f"{api}/runs/get?run_id={run.id}")["run"]["data"]["metrics"][0]["value"] == 0.5
    assert capfd.readouterr().out == ""  # which is a command's JSON alone
    with urllib.request.urlopen(f"{server}/", timeout=10) as page:
        assert b"MLflow" in page.read()

    # The store itself does not say where a server keeps what it was sent, and destroys nothing without it.
    with pytest.raises(PurgeRefused, match="MLFLOW_TRACKING_URI"):
        tracker.purge(runs=[run.id])
    assert read(f"{api}/runs/get?run_id={run.id}")["run"]["info"]["lifecycle_stage"] == "active"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert tracker.purge(runs=[run.id]) == Purged(runs=1, models=0)
    assert not list(tmp_path.rglob("note.json"))
