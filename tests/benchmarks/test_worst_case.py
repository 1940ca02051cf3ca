"""The benchmark of worst cases: every row has its figures, the summary follows from them, a run goes on."""

from __future__ import annotations

from typing import Any

import pytest

FLAGS = ("--seeds", "2", "--dim", "8", "--budgets", "interactions:2%", "--search", "bilevel:rounds=2:folds=2")


def test_the_summary_follows_from_the_rows(run: Any) -> None:
    result = run("worst_case", *FLAGS)
    rows = [row["values"] for row in result["rows"]]
    assert [row["seed"] for row in result["rows"]] == [0, 1] and all(
        row["part"] == "objective" for row in result["rows"]
    )
    found = result["summary"]["interactions:2%"]
    for name in ("search", "start", "random", "easiest"):
        assert found["objective"][name]["values"] == [row[name] for row in rows]
    assert found["below"]["easiest"] == [row["search"] < row["easiest"] for row in rows]
    assert found["met"] == all(row["search"] < min(row["start"], row["random"], row["easiest"]) for row in rows)
    assert all(row["search"] < row["random"] for row in rows)


def test_what_is_there_is_not_done_again(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("worst_case")
    there = [{"part": "objective", "budget": "users:3", "seed": 0, "selector": "bilevel"}]
    options = type("Options", (), {"search": "bilevel", "table": False})()
    monkeypatch.setattr(module, "RecommenderProblem", None)  # nothing is trained
    module.measure(options, {"rows": there}, None, "users:3", 0)
    with pytest.raises(AttributeError):
        module.measure(options, {"rows": there}, None, "users:3", 1)
