"""Budgets as they are written, and strata of what a set is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from recsys.problem import RecommenderProblem
from unlearn.worst_case import Budget
from unlearn.worst_case.strata import activity, popularity, shares, thirds

DTYPE = torch.float64


def cases() -> Iterator[tuple[str, Budget, float]]:
    yield "users:10%", Budget("user", 0.1), 3
    yield "users:7", Budget("user", 7), 7
    yield "items:1%", Budget("item", 0.01), 1
    yield "interactions:5%", Budget("interaction", 0.05), 10
    yield "items/interactions:10%", Budget("item", 0.1, by_records=True), 20
    yield "users/interactions:12", Budget("user", 12, by_records=True), 12


@pytest.mark.parametrize(("text", "budget", "total"), list(cases()))
def test_budgets_as_they_are_written(problem: RecommenderProblem, text: str, budget: Budget, total: float) -> None:
    assert Budget.parse(text) == budget and str(budget) == text
    assert budget.room(problem.units(budget.unit)).total == total


@pytest.mark.parametrize("text", ["users", "users:", "users:0", "users:1.5", "users:100%", "user:3", "people:3", "x:%"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(ValueError, match="`budget` must be"):
        Budget.parse(text)


def test_a_budget_that_does_not_fit(problem: RecommenderProblem) -> None:
    for text, told in (("users:30", "must leave something"), ("items/interactions:1", "must have room for one item")):
        budget = Budget.parse(text)
        with pytest.raises(ValueError, match=told):
            budget.room(problem.units(budget.unit))
    for amount in (1.5, 0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="`amount` must be"):
            Budget("user", amount)


@pytest.mark.parametrize(
    ("scores", "strata"),
    [
        ([1, 2, 3], [0, 1, 2]),
        ([6, 5, 4, 3, 2, 1], [2, 2, 1, 1, 0, 0]),
        ([1, 2, 3, 4], [0, 0, 1, 2]),
        ([7, 7, 7, 1], [0, 0, 0, 0]),
        ([2, 1, 2, 2, 2, 2], [0, 0, 0, 0, 0, 0]),
        ([], []),
    ],
)
def test_thirds(scores: list[float], strata: list[int]) -> None:
    assert thirds(torch.tensor(scores, dtype=DTYPE)).tolist() == strata


def test_strata(problem: RecommenderProblem) -> None:
    room = Budget("user", 3).room(problem.units("user"))
    users, items = problem.data.degrees()
    assert activity(room).tolist() == users[room.rows.numpy()].tolist()
    mean = [items[problem.data.item_rows()[problem.data.user_rows() == row]].mean() for row in room.rows.tolist()]
    torch.testing.assert_close(popularity(problem, room), torch.tensor(mean, dtype=DTYPE))
    assert thirds(torch.tensor([5.0, 1.0, 3.0, 2.0, 4.0, 6.0])).tolist() == [2, 0, 1, 0, 1, 2]
    assert thirds(torch.ones(4)).tolist() == [0, 0, 0, 0]
    strata = thirds(activity(room))
    active = activity(room).argsort(descending=True)[:5]
    assert shares(strata, active) == {"low": 0.0, "middle": 0.0, "high": 1.0}
