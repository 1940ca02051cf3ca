"""Streams by every method: each has its course or a reason, against the same retrains; a run goes on where it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FLAGS = ("--methods", "reconverge,iau,native", "--limit", "60")


def test_every_method_has_its_course_or_a_reason(run: Any) -> None:
    result = run("drift", *FLAGS)
    rows = {row["method"]: row for row in result["rows"]}
    assert list(rows) == ["graph_drop", "reconverge", "iau", "native"]
    assert "SelfUnlearning" in rows.pop("native")["reason"]
    measured = {
        name: {step["number"]: step["values"] for step in row["steps"] if step["values"]} for name, row in rows.items()
    }
    assert all(list(values) == [1, 2, 4] for values in measured.values())
    for number in (1, 2, 4):  # one retrain for all methods
        assert len({values[number]["retrain_auc"] for values in measured.values()}) == 1
        assert measured["reconverge"][number]["retrain_gap"] < 0.5 * measured["graph_drop"][number]["retrain_gap"]
    assert measured["iau"][4]["retrain_gap"] > 1.0  # a step of fixed size, four times


def test_what_runs_out_of_time_is_named_and_a_resumed_run_does_the_rest(
    benchmark: Any, tmp_path: Path, run: Any
) -> None:
    out = tmp_path / "drift.json"
    flags = ("--quick", "--json", out, "--limit", "0.001")
    assert benchmark("drift", *flags, "--methods", "fine_tune", cwd=tmp_path).returncode == 0
    baseline, stopped = json.loads(out.read_text("utf-8"))["rows"]
    assert stopped == {"method": "fine_tune", "seed": 0, "reason": "`fine_tune` was stopped after 0.001 s"}
    done = benchmark("drift", *flags, "--methods", "fine_tune,native", "--resume", cwd=tmp_path)
    assert done.returncode == 0 and "fine_tune" not in done.stdout
    first, second, third = json.loads(out.read_text("utf-8"))["rows"]
    assert (first, second, third["method"]) == (baseline, stopped, "native")
    reference = run("drift", *FLAGS)["rows"][0]
    for mine, theirs in zip(baseline["steps"], reference["steps"], strict=True):
        assert mine["residual_after"] == pytest.approx(theirs["residual_after"], rel=1e-3)


@pytest.mark.parametrize(("flag", "value", "what"), [("--methods", "nothing", "nothing"), ("--delete", "five", "five")])
def test_what_cannot_be_is_said_before_any_work(
    benchmark: Any, tmp_path: Path, flag: str, value: str, what: str
) -> None:
    done = benchmark("drift", "--quick", flag, value, cwd=tmp_path)
    assert done.returncode == 1 and what in done.stderr and "Traceback" not in done.stderr
