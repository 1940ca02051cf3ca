"""The benchmark of a prepared network serves everybody through the target, with and without a surrogate."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("surrogate", ["gcn:depth=2:width=4", "none"])
def test_everybody_leaves_by_a_version_that_passes(run: Any, surrogate: str) -> None:
    result = run("network", "--surrogate", surrogate)
    assert [row["kind"] for row in result["rows"]] == ["random", "hub"]
    for row in result["rows"]:
        steps = [row[name] for name in ("remove", "unlearn", "verify", "rebuild", "publish") if name in row]
        assert row["leave"] == pytest.approx(sum(steps)) and row["passed"]
        assert ("rebuild" in row) == bool(row["failed"])
        assert ("surrogate_spread" in row) == (surrogate != "none")
    assert result["faster_hub"] == pytest.approx(result["prepare"] / result["leave_hub"])
