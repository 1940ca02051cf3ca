"""What a report adds to an audit's JSON, what it refuses to be given, and what it says of the machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unlearn.audit.views import collect, derive, provenance


def claim(verdict: str, value: float | None, floor: float = 0.5, resolution: float = 0.1) -> dict[str, Any]:
    return {"metric": "m", "value": value, "null_floor": floor, "resolution": resolution, "verdict": verdict}


def test_verdicts_are_counted_and_margins_are_beyond_the_resolution() -> None:
    found = derive({"findings": {"a": [claim("fail", 0.8), claim("pass", 0.45), claim("inconclusive", None)]}})
    assert found["verdicts"]["a"]["counts"] == {"pass": 1, "fail": 1, "inconclusive": 1}
    assert found["verdicts"]["a"]["margins"] == [pytest.approx(0.2), pytest.approx(-0.05), None]


def test_the_hash_depends_on_the_settings_and_not_on_their_order() -> None:
    hashes = [
        derive({"settings": settings})["settings_sha256"]
        for settings in ({"a": 1, "b": {"c": 2}}, {"b": {"c": 2}, "a": 1}, {"a": 1, "b": {"c": 3}})
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    assert derive({}) == {}


def test_provenance_names_versions_and_no_machine() -> None:
    import platform

    found = provenance()
    assert found["versions"]["unlearn-recsys"] and found["versions"]["torch"]
    assert found["made_at"].endswith("+00:00")
    assert found["hardware"]["cores"] >= 1
    assert platform.node() not in json.dumps(found)


def test_a_view_needs_two_retrains_and_names_that_are_free() -> None:
    nothing: Any = None
    with pytest.raises(ValueError) as refused:
        collect(nothing, [nothing], {"retrain": nothing}, nothing, nothing)
    assert "at least two models" in str(refused.value) and "['retrain']" in str(refused.value)
