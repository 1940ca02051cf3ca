"""The benchmark of unlearning from a surrogate: its ratios and speeds can be scored again from its raw rows."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.conftest import Load, Run


@pytest.fixture
def result(run: Run, load: Load) -> dict[str, Any]:
    """One run for both tests: the default methods, two that do not apply, and one that is written twice."""
    more = "fine_tune:epochs=3,gnn_delete, fine_tune:epochs=3,delta_grad"
    return run("surrogate_unlearning", "--methods", f"{load('surrogate_unlearning').METHODS},{more}")


def test_rows_follow_from_raw_values(result: dict[str, Any]) -> None:
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


def test_methods_are_read_before_anything_is_trained_and_those_that_do_not_apply_left_out(
    result: dict[str, Any], load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("surrogate_unlearning")
    monkeypatch.setattr(module, "learned", lambda *_: pytest.fail("something was trained"))
    monkeypatch.setattr(module.torch, "set_num_threads", lambda _: None)
    for flags, told in ((("--methods", "graph_drop,tea"), "`tea` is no"), (("--surrogate", "tea"), "`tea` is no")):
        monkeypatch.setattr(sys, "argv", ["surrogate_unlearning", "--quick", *flags])
        with pytest.raises(SystemExit) as refused:
            module.main()
        assert told in str(refused.value)
    methods = {one["method"] for one in result["rows"]}
    assert methods == {"non_backtracking", "original", "fine_tune:epochs=3", "retrain", *module.METHODS.split(",")}
