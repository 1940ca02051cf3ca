"""What JSON has no form of is written in one that others read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from unlearn.jsonable import json_text


def test_times_are_those_of_iso_8601() -> None:
    times = [datetime(2026, 1, 2, 3, 4, 5, 60, UTC), datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))]
    assert json.loads(json_text({"at": times}))["at"] == [
        "2026-01-02T03:04:05.000060+00:00",
        "2026-01-02T00:00:00+02:00",
    ]


def test_no_number_is_null_and_anything_else_its_text() -> None:
    assert json.loads(json_text({"a": [float("nan"), 1.5], "b": Path("x")})) == {"a": [None, 1.5], "b": "x"}
