"""Second-order influence of groups against explicit series and retraining."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tolerances import CONVERGED64
from tests.unlearn.methods.exact import SHARP, factorised, step
from tests.unlearn.toys import RIDGE_PENALTY, ridge, ridge_solution
from unlearn.attached import AttachedProblem
from unlearn.curvature import hessian_operator
from unlearn.forget import ForgetSet
from unlearn.methods import GIF, GroupInfluence
from unlearn.methods.second_order import removed_gradient
from unlearn.params import flatten
from unlearn.solvers.gauge import rotation_projection

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


@pytest.mark.parametrize("iterations", [1000, 3])
def test_cleared_rows_are_no_unknowns_and_every_order_has_the_same_damping(iterations: int) -> None:
    """A user leaves: of the series written out, with the damping that negative curvature asks for where training is
    stopped early."""
    problem = factorised().fit(options=replace(factorised().options, max_iterations=iterations))
    forget = ForgetSet(users=(problem.data.users.ids[3],))
    remaining = problem.without(forget)
    unlearner = GroupInfluence(damping=1e-3, tolerance=1e-12, max_products=5000)
    start, whole = flatten(problem.params), hessian_operator(problem).matrix()
    left = hessian_operator(remaining, remaining.settled(forget)).matrix()
    stays = torch.ones_like(problem.params["table"])
    stays[3] = 0.0
    stays = stays.view(-1)
    project = rotation_projection(problem.params["table"])
    inside = torch.stack([project(column) for column in torch.eye(len(start), dtype=start.dtype)], 1)
    b = removed_gradient(problem, remaining, forget)
    damping = unlearner.solve(hessian_operator(problem), b, project)[1]
    assert (damping > 1.0) is (iterations == 3)
    inverse = torch.linalg.pinv(inside @ (whole + damping * torch.eye(len(start))) @ inside, hermitian=True)
    first = inverse @ b
    second = inverse @ (b + stays * ((whole - left) @ first))
    found = flatten(unlearner.forget(problem, forget).problem.params)
    torch.testing.assert_close(found, stays * (start + second), rtol=1e-6, atol=1e-8)


def test_a_bad_order_is_refused() -> None:
    with pytest.raises(ValueError, match="`order` must be a positive integer for `group_influence`"):
        GroupInfluence(order=0)
