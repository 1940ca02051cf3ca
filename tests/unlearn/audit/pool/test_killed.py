"""A pool that is killed outright goes on from what was finished."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def fill(folder: Path, *, jobs: int) -> None:
    from recsys.data import synthetic
    from recsys.objectives import BPR
    from recsys.problem import RecommenderProblem
    from recsys.train import TrainingOptions
    from unlearn.audit.pool import ModelPool, Plan

    data = synthetic(n_users=100, n_items=60, n_interactions=2_000, seed=0)
    options = TrainingOptions(epochs=10, batch_size=32)
    problem = RecommenderProblem.build(data, objective=BPR(), options=options, dim=8)
    ModelPool(problem, Plan.halves(100, 6, seed=0, unit="user"), folder, jobs=jobs).fill()


def filling(folder: Path) -> subprocess.Popen[bytes]:
    """The same in a process of its own, which has workers."""
    program = "\n".join(["from pathlib import Path", inspect.getsource(fill), f"fill(Path({str(folder)!r}), jobs=2)"])
    return subprocess.Popen([sys.executable, "-c", program], start_new_session=True)


def finished(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Models that are whole, by name, with the time of their writing."""
    names = [path.stem for path in folder.glob("*.json")]
    paths = [folder / f"{name}.{kind}" for name in names for kind in ("json", "safetensors")]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_a_killed_pool_trains_only_what_was_not_finished(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    first = filling(killed)
    deadline = time.monotonic() + 300
    while len(before := finished(killed)) < 4 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)  # its workers with it
    assert first.wait() == -signal.SIGKILL
    before = finished(killed)
    assert 4 <= len(before) < 12

    fill(killed, jobs=1)
    after = finished(killed)
    assert after.items() >= before.items() and len(after) == 12

    fill(whole, jobs=1)
    tensors = [{name: data for name, (_, data) in finished(one).items() if "safe" in name} for one in (killed, whole)]
    assert tensors[0] == tensors[1]
