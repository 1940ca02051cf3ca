"""Budgets as they are written, and strata of what a set is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from recsys.data import ratio, synthetic
from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import RIDGE_PENALTY, ridge
from unlearn.methods.base import MissingRequirement
from unlearn.worst_case import Budget, MostMemorised
from unlearn.worst_case.strata import activity, gradient_variance, memorisation, popularity, shares, thirds

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


def test_the_most_memorised_are_of_the_highest_stratum_of_memorisation() -> None:
    """Leaving a record out of ridge regression has a closed form: its residual over 1 less its leverage."""
    fitted = ridge().fit()
    room = Budget("record", 5).room(fitted.units("record"))
    x, y = fitted.payload
    hat = x @ torch.linalg.solve(x.T @ x + RIDGE_PENALTY * torch.eye(x.shape[1], dtype=DTYPE), x.T)
    error = y - hat @ y
    exact = 0.5 * ((error / (1 - hat.diagonal())).square() - error.square())
    strata = thirds(memorisation(fitted, room, len(x), seed=0))
    assert strata.tolist() == thirds(exact).tolist()
    assert shares(strata, MostMemorised(folds=len(x)).select(fitted, "records:5").units)["high"] == 1.0


def test_gradient_variance_over_checkpoints() -> None:
    options = TrainingOptions(seed=1, epochs=6, lr=0.05, keep=frozenset({"checkpoints"}), checkpoint_every=2)
    split = ratio(synthetic(30, 20, 300, seed=0))
    problem = RecommenderProblem.build(
        split.train, model="mf", objective=BPR(), options=options, dim=4, dtype=DTYPE
    ).fit()
    users = problem.units("user")
    room = Budget("user", 5).room(users)
    norms: list[Tensor] = []
    for kept in problem.history.checkpoints:
        leaves = {name: value.clone().requires_grad_() for name, value in kept.params.items()}
        losses = problem.record_losses(leaves)
        own = [losses[torch.from_numpy(users.owners) == user].sum() for user in room.rows]
        slopes = [torch.autograd.grad(one, leaves["table"], retain_graph=True)[0] for one in own]
        norms.append(torch.stack([slope.norm() for slope in slopes]))
    exact = torch.stack(norms).var(0)
    found = gradient_variance(problem, room, directions=2_000)
    assert float(torch.corrcoef(torch.stack([exact, found]))[0, 1]) > 0.9
    assert float(found.mean()) == pytest.approx(float(exact.mean()), rel=0.2)
    with pytest.raises(MissingRequirement, match="at least two checkpoints"):
        gradient_variance(ridge().fit(), Budget("record", 3).room(ridge().units("record")))
