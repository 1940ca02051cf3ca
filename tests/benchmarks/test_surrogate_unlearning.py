"""The benchmark of unlearning from a surrogate: its ratios and speeds can be scored again from its raw rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.conftest import Run


def test_rows_follow_from_raw_values(run: Run) -> None:
    result = run("surrogate_unlearning")
    raw = {(one["request"], one["method"]): one for one in result["raw"]}
    assert {request for request, _ in raw} == {"3 hubs", "10 influential ties"}
    for row in result["rows"]:
        one, retrained = raw[row["request"], row["method"]], raw[row["request"], "retrain"]
        assert row["ratio"]["mean"] == pytest.approx(one["error"] / retrained["error"])
        assert 0 <= row["auc"]["mean"] <= 1
        if row["method"] == "non_backtracking":
            assert row["speedup"] is None
        else:
            assert row["speedup"]["mean"] == pytest.approx(retrained["seconds"] / one["seconds"])
    # Where the truth is simulated, what learns nothing has nothing to unlearn, and hubs matter more than noise.
    assert raw["3 hubs", "non_backtracking"]["error"] < 0.5 * raw["3 hubs", "graph_drop"]["error"]
    noise = {row["request"]: row for row in result["noise"]}
    assert np.mean(noise["1 random tie"]["moved"]) < np.mean(noise["1 random tie"]["noise"])
