"""A reader that leaves, and a disk that is full: a quiet end or one clear error, and no file is lost by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.cli.run import SMALL, unlearn
from unlearn.tracking import MlflowTracker

Stream = Literal["stdout", "stderr"]


def said(stream: Stream, to: int, *arguments: str | Path) -> tuple[int, str]:
    """Exit code of the program with one stream going there, and what it says on the other."""
    other: Stream = "stderr" if stream == "stdout" else "stdout"
    streams: dict[str, Any] = {stream: to, other: subprocess.PIPE}
    command = [sys.executable, "-m", "unlearn", *map(str, arguments)]
    done = subprocess.run(command, text=True, check=False, timeout=120, **streams)
    return done.returncode, getattr(done, other)


def left(stream: Stream, *arguments: str | Path) -> tuple[int, str]:
    """The same where whoever would read has left before the first word."""
    read, write = os.pipe()
    os.close(read)
    try:
        return said(stream, write, *arguments)
    finally:
        os.close(write)


@pytest.mark.parametrize("arguments", [("models",), ("models", "--json"), ("influence", "simulate")], ids="/".join)
def test_whoever_leaves_is_not_told_off(arguments: tuple[str, ...], ties: Path) -> None:
    given = (ties, "--seeds", ties.read_text("utf-8").split()[0], "--runs", "10") if "influence" in arguments else ()
    assert left("stdout", *arguments, *given) == (141, "")


def test_a_full_disk_is_one_clear_error() -> None:
    with Path("/dev/full").open("w") as full:
        code, told = said("stdout", full.fileno(), "models")
        assert (code, told.count("\n")) == (2, 1)
        assert told.startswith("error: not all of the output could be written (no space left on device)")
        code, told = said("stdout", full.fileno(), "models", "--json")
        assert code == json.loads(told)["exit_code"] == 2


def test_a_file_is_not_lost_with_the_table(table: Path, tmp_path: Path) -> None:
    asked = ("evaluate", "--data", table, "--delete", "users:2", "--seeds", "1", *SMALL)
    assert left("stderr", *asked, "--json", tmp_path / "figures.json") == (141, "")
    assert json.loads((tmp_path / "figures.json").read_text("utf-8"))["methods"]


def test_neither_table_nor_tracker_is_lost_with_the_file(table: Path, location: Path) -> None:
    asked = ("evaluate", "--data", table, "--delete", "users:2", "--seeds", "1", *SMALL)
    result = unlearn(*asked, "--json", "/dev/full", "--track", location)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Unlearning against retraining" in result.stderr
    assert "/dev/full could not be written (no space left on device)" in result.stderr
    client = MlflowTracker(location)._client
    runs = client.search_runs([client.get_experiment_by_name("unlearn").experiment_id])
    assert "evaluate lightgcn users" in {one.info.run_name for one in runs}
