"""The benchmark of a stream runs from end to end, and its count of leaks finds one."""

from __future__ import annotations

from typing import Any

import pytest


def test_it_serves_everything_and_leaks_nothing(run: Any) -> None:
    result = run("stream")
    assert result["benchmark"] == "stream" and result["quick"] is True
    requests, leaks, utility = result["requests"], result["leaks"], result["utility"]
    assert requests["number"] == requests["accepted"] == requests["completed"] == result["settings"]["requests"] == 16
    assert result["bars"]["no_leak"] and result["bars"]["all_completed"] and result["audit_chain_holds"]
    assert leaks["recommendations"] > 100 and leaks["asked_for_erased_users"] > 0
    assert utility["users"] == 192 and utility["interactions"] < result["data"]["train"]  # 8 users and 8 interactions
    for name, value in utility["relative"].items():
        assert value == pytest.approx(utility["served"][name] / utility["retrained"][name] - 1)
    met = max(abs(value) for value in utility["relative"].values()) <= 0.01
    assert result["bars"]["utility_within_1_percent"] is met
    batches = {row["batch"] for row in result["step_log"]}
    assert len(batches) == result["batches"]["number"] > 1
    each = [one for kind in result["batches"]["seconds"].values() for one in kind["values"]]
    assert requests["worker_seconds_each"] == pytest.approx(sum(each) / 16)


def test_a_leak_is_found(load: Any) -> None:
    stream = load("stream_figures")
    wanted = [stream.Erasure("ann", None), stream.Erasure("bob", "book")]
    answers = [{"ended": 10.0}, {"ended": 20.0}]
    fine = [
        [9.9, 11.0, "ann", ["book"]],  # asked for before the 201
        [10.1, 10.2, "ann", None],
        [19.0, 21.0, "bob", ["book"]],
        [20.1, 20.2, "bob", ["disc"]],
        [20.1, 20.2, "cay", ["book"]],
    ]
    expected = {"to_erased_users": 0, "of_erased_interactions": 0, "asked_for_erased_users": 1}
    assert stream.leaked(wanted, answers, fine) == expected
    to_user, of_item = [10.1, 10.2, "ann", ["disc"]], [20.1, 20.2, "bob", ["disc", "book"]]
    assert stream.leaked(wanted, answers, [*fine, to_user])["to_erased_users"] == 1
    assert stream.leaked(wanted, answers, [*fine, of_item])["of_erased_interactions"] == 1
