"""Second-order influence of groups against explicit series and retraining."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tolerances import CONVERGED64
from tests.unlearn.methods.exact import SHARP, step
from tests.unlearn.toys import RIDGE_PENALTY, ridge, ridge_solution
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.methods import GIF, GroupInfluence

ROOM: dict[str, Any] = SHARP


def alike(problem: AttachedProblem, n: int) -> tuple[int, ...]:
    """The records furthest out along one direction: a group that speaks with one voice."""
    x, _ = problem.payload
    return tuple(x[:, 0].argsort(descending=True)[:n].tolist())


@pytest.mark.parametrize("order", [1, 2, 3])
def test_it_is_its_series(order: int) -> None:
    problem = ridge().fit()
    x, y = problem.payload
    gone = list(alike(problem, 8))
    whole = x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype)
    taken = x[gone].T @ x[gone]
    term = torch.linalg.solve(whole, x[gone].T @ (x[gone] @ flatten_of(problem) - y[gone]))
    expected = torch.zeros_like(term)
    for _ in range(order):
        expected += term
        term = torch.linalg.solve(whole, taken @ term)
    found = step(GroupInfluence(order=order, **ROOM), problem, ForgetSet(records=tuple(gone)))
    torch.testing.assert_close(found, expected, **CONVERGED64)


def flatten_of(problem: AttachedProblem) -> Tensor:
    return problem.params["weight"][0]


def test_the_second_order_helps_groups_and_the_series_ends_at_the_retrained_model() -> None:
    """The paper's finding: the first order fails for large coherent groups, and the second mends most of it."""
    problem = ridge().fit()
    start = flatten_of(problem)

    def error(gone: tuple[int, ...], order: int) -> float:
        x, y = problem.payload
        left = [i for i in range(40) if i not in gone]
        truth = ridge_solution(x[left], y[left]) - start
        found = step(GroupInfluence(order=order, **ROOM), problem, ForgetSet(records=gone))
        return float((found - truth).norm() / truth.norm())

    single, group = (7,), alike(problem, 12)
    assert error(single, 1) < 0.25
    assert error(group, 1) > 0.4
    assert error(group, 2) < 0.8 * error(group, 1)
    assert error(group, 80) < 1e-3


def test_the_first_order_is_the_plain_influence_function() -> None:
    problem = ridge(solver="adam", epochs=30, lr=0.05).fit()
    forget = ForgetSet(records=alike(problem, 6))
    torch.testing.assert_close(
        step(GroupInfluence(order=1, **ROOM), problem, forget), step(GIF(**ROOM), problem, forget), **CONVERGED64
    )


def test_a_bad_order_is_refused() -> None:
    with pytest.raises(ValueError, match="`order` must be a positive integer for `group_influence`"):
        GroupInfluence(order=0)
