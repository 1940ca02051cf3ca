"""SIGTERM: what a command has opened is closed, and the process ends as it would have."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.run import SMALL
from unlearn.tracking import MlflowTracker

# The command, sent a signal by itself once its run is open.
PROGRAM = """
import signal
from unlearn.cli import app
from unlearn.tracking.mlflow_run import MlflowRun
MlflowRun.params = lambda *_: signal.raise_signal(signal.SIGTERM)
app()
"""


def test_a_terminated_command_leaves_no_run_open(table: Path, location: Path, tmp_path: Path) -> None:
    asked = ["train", "--data", table, "--out", tmp_path / "model", "--track", location, *SMALL]
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *asked], capture_output=True, text=True, timeout=300)
    assert ended.returncode == -signal.SIGTERM and "Traceback" not in ended.stderr
    tracker = MlflowTracker(location)
    (run,) = tracker._client.search_runs([tracker.experiment_id])
    assert (run.info.status, run.data.params) == ("KILLED", {})
