"""The benchmarks of attribution run from end to end, and their figures follow from each other."""

from __future__ import annotations

from typing import Any

import pytest


def test_scores_that_predict_retraining_beat_the_same_scores_dealt_out(run: Any) -> None:
    result = run("attribution")
    by_name = {row["estimator"]: row for row in result["estimators"]}
    assert result["damping"] == float(max(result["tuning"], key=lambda damping: result["tuning"][damping]))
    for name in ("influence", "influence, damping chosen", "influence, share .5", "gradient_dot"):
        assert by_name[name]["value"] > by_name["dealt out"]["value"] + 0.3
        assert by_name[name]["low"] <= by_name[name]["value"] <= by_name[name]["high"]
        assert by_name[name]["value"] == pytest.approx(sum(by_name[name]["by_query"]) / 4)
    assert by_name["influence"]["residual"] <= 1e-2


def test_top_of_the_store_is_timed_against_its_floors(run: Any) -> None:
    result = run("gradient_store")
    assert [row["content"] for row in result["stores"]] == ["gradients", "random"]
    for row in result["stores"]:
        seconds = {name: figures["median"] for name, figures in row["seconds"].items()}
        assert row["top_over_its_floor"] == pytest.approx(seconds["top"] / seconds["floor of top"])
        assert row["bytes_of_all_pairs"] == row["rows"] * 2048 * 2
        assert row["bytes_of_top"] == row["rows"] * (128 + 12)
        # Of 4,000 rows the budget is half, which by chance holds half of the best.
        assert row["recall_at_k"] > (0.9 if row["content"] == "gradients" else 0.6)
