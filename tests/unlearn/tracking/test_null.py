"""The tracker that keeps nothing answers to the same contract."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from unlearn.tracking import MlflowTracker, NullTracker, Purged, Tracker, base
from unlearn.tracking.mlflow_run import MlflowRun
from unlearn.tracking.null import _NullRun


def test_everything_is_taken_and_nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    monkeypatch.chdir(tmp_path)
    tracker: Tracker = NullTracker()
    with tracker.run("parent") as parent, tracker.run("child", nested=True) as child:
        child.params({"a": 1})
        child.metrics({"recall_at_20": 0.5}, step=1)
        child.artifact("a.json", {"a": 1})
        child.figure("a.svg", Figure())
        child.dataset("d", digest="00" * 8, counts={"users": 1}, context="train")
        assert child.model(tmp_path, name="m") is None
        assert parent.id is None
    assert tracker.purge(runs=["r"]) == Purged(runs=0, models=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "contract"),
    [(MlflowRun, base.Run), (_NullRun, base.Run), (MlflowTracker, base.Tracker), (NullTracker, base.Tracker)],
)
def test_every_tracker_takes_the_same_arguments(kind: type, contract: type) -> None:
    for name, method in inspect.getmembers(contract, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(kind, name)).parameters == inspect.signature(method).parameters
