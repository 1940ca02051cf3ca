"""What a tracker is told of a comparison, and where its runs are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unlearn.audit.compared import Memory
from unlearn.audit import Comparison, Streams, record
from unlearn.audit.comparison import Measurement
from unlearn.audit.log import record_streams
from unlearn.audit.stream import Stream
from unlearn.methods.base import method
from unlearn.tracking import MlflowTracker


def test_record_tells_a_tracker_everything(found: Comparison, content: dict[str, Any]) -> None:
    tracker = Memory()
    record(found, tracker)
    (name, parent), *children = tracker.told
    assert (name, parent["nested"]) == ("evaluation", False)
    assert parent["comparison.json"] == content
    digest = found.requests[0].digest
    assert parent["dataset requests"] == (digest, found.requests[0].counts)
    assert [child for child, _ in children] == list(found.names)
    for child, told in children:
        assert told["nested"]
        assert told["tags"]["unlearn.request_digest"] == digest
        assert told["metrics"] == found.central(child) or child == "diverging"  # NaN equals nothing
        assert told["params"] == found.settings["methods"].get(child, {})
    unkeyed = tuple(type(r)(r.seed, r.request, r.counts, None, r.raw) for r in found.requests)
    nameless = Comparison(found.measurements, unkeyed, found.settings, found.digests)
    with pytest.raises(ValueError, match="`key`"):
        record(nameless, tracker)


def test_an_evaluation_is_found_below_a_study_of_ones_own(found: Comparison, location: Path) -> None:
    tracker = MlflowTracker(location)
    with tracker.run("study") as study:
        pass
    streams = Streams(streams=(Stream("graph_drop", {}, 0, (), 0.0),), settings={}, digests={})
    record(found, tracker, tags={"mlflow.parentRunId": study.id})
    record_streams(streams, tracker, tags={"mlflow.parentRunId": study.id})
    below = f"tags.`mlflow.parentRunId` = '{study.id}'"
    runs = tracker._client.search_runs([tracker.experiment_id], below)
    assert [run.info.run_name for run in runs] == ["evaluation", "evaluation"]


def test_a_tracker_holds_a_comparison_of_any_number_of_methods(found: Comparison, location: Path) -> None:
    many = {f"reconverge:max_iterations={n}": method("reconverge").arguments() for n in range(100)}
    rows = tuple(Measurement(name, 0, 0, {"seconds": 1.0}, {}) for name in many)
    tracker = MlflowTracker(location)
    record(Comparison(rows, found.requests, {"methods": many}, found.digests), tracker)
    runs = tracker._client.search_runs([tracker.experiment_id])
    assert {run.info.run_name for run in runs} == {"evaluation", *many}
    assert {run.info.status for run in runs} == {"FINISHED"}
