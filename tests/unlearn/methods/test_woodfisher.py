"""The Fisher form of the influence step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.methods.contract import sampled_case
from tests.unlearn.methods.exact import step
from tests.unlearn.toys import RIDGE_PENALTY, regression, ridge, squared
from unlearn.attached import AttachedProblem
from unlearn.curvature import adam_damping, hessian_operator, record_gradients
from unlearn.forget import ForgetSet
from unlearn.hooks import AttachedOptions, attach
from unlearn.methods import Influence, WoodFisher
from unlearn.methods.second_order import removed_gradient, staying
from unlearn.methods.woodfisher import penalty_curvature
from unlearn.params import flatten

GONE = [3, 8, 20]


def gradients(problem: AttachedProblem, records: list[int]) -> Tensor:
    """Own gradients [r, 5] of records of a linear regression."""
    x, y = problem.payload
    return (x[records] @ problem.params["weight"][0] - y[records])[:, None] * x[records]


def test_it_is_the_papers_recursion() -> None:
    """Rank-one updates of the inverse, one record after the other, in the order of the data."""
    problem = ridge().fit()
    x, _ = problem.payload
    left = [i for i in range(40) if i not in GONE]
    inverse = torch.eye(5, dtype=x.dtype) / (0.7 + RIDGE_PENALTY)
    for g in gradients(problem, left):
        inverse -= torch.outer(inverse @ g, inverse @ g) / (1.0 + g @ inverse @ g)
    b = gradients(problem, GONE).sum(0)
    expected = inverse @ b
    hessian = x[left].T @ x[left] + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype)
    expected *= (b @ expected) / (expected @ hessian @ expected)
    found = step(WoodFisher(damping=0.7), problem, ForgetSet(records=tuple(GONE)))
    torch.testing.assert_close(found, expected, **EXACT64)


def test_adams_damping_is_on_both_diagonals() -> None:
    case = sampled_case()
    problem, forget = case.problem, case.requests[0]
    remaining, prior = problem.without(forget), adam_damping(problem)
    at = remaining.with_params(remaining.settled(forget))
    g, b = torch.stack(list(record_gradients(at))), removed_gradient(problem, remaining, forget)
    expected = torch.linalg.solve(g.T @ g + torch.diag(prior + 0.7 + penalty_curvature(at)), b)
    curved = hessian_operator(at).matrix() @ expected + prior * expected
    expected *= (b @ expected) / (expected @ curved)
    stays = staying(remaining, forget)
    found = step(WoodFisher(damping=0.7, samples=len(g)), problem, forget)
    torch.testing.assert_close(stays * found, stays * expected, **CONVERGED64)


def test_where_nothing_remains_the_damping_stands_alone() -> None:
    problem = ridge().fit()
    found = step(WoodFisher(damping=0.7), problem, ForgetSet(records=tuple(range(40))))
    torch.testing.assert_close(flatten(problem.params) + found, torch.zeros(5, dtype=torch.float64), **EXACT64)


def test_the_penalty_has_its_own_curvature() -> None:
    assert penalty_curvature(ridge().fit()) == pytest.approx(RIDGE_PENALTY)
    zero = ridge().fit()
    assert penalty_curvature(zero.with_params({"weight": torch.zeros(1, 5, dtype=torch.float64)})) == 0.0


def fitted(n: int, noise: float) -> AttachedProblem:
    """A regression that is the likelihood of its data where `noise` is 1, with inputs of unequal scale."""
    x, _ = regression(n)
    x = x * torch.tensor([2.0, 1.5, 1.0, 0.7, 0.5], dtype=x.dtype)
    y = x.sum(1) + noise * torch.randn(n, dtype=x.dtype, generator=torch.Generator().manual_seed(7))
    module = nn.Linear(5, 1, bias=False).double()
    return attach(module, squared, (x, y), penalty=0.01, options=AttachedOptions(tolerance=1e-9)).fit()


def error(problem: AttachedProblem, **arguments: Any) -> float:
    """Distance from the influence step over its length, the mean over requests."""
    found: list[float] = []
    for first in range(4):
        forget = ForgetSet(records=tuple(range(first, 600, 30)))
        exact = step(Influence(damping=1e-9, tolerance=1e-9), problem, forget)
        ours = step(WoodFisher(**arguments), problem, forget)
        found.append(float((ours - exact).norm() / exact.norm()))
    return sum(found) / len(found)


def test_for_a_likelihood_that_fits_it_is_the_influence_step() -> None:
    problem = fitted(600, 1.0)
    ours = error(problem, damping=0.1, samples=600)
    assert ours < 0.25
    # A step along the gradient alone, of the best length, does not see which directions are well known.
    assert error(problem, damping=1e9, samples=1) > 2 * ours


def test_the_length_makes_up_for_the_scale_of_another_loss() -> None:
    """With noise of .1 the Fisher matrix is a hundredth of the Hessian, and its step a hundred times too long."""
    assert error(fitted(600, 0.1), damping=1e-3, samples=600) == pytest.approx(
        error(fitted(600, 1.0), damping=0.1, samples=600), rel=0.1
    )


def test_where_curvature_is_not_positive_the_length_is_one() -> None:
    x, _ = regression()

    def concave(module: nn.Module, rows: Tensor) -> Tensor:
        return -0.5 * module(rows).squeeze(1).square()

    problem = attach(nn.Linear(5, 1, bias=False).double(), concave, x, penalty=0.1)
    g = -(x @ problem.params["weight"][0])[:, None] * x
    left = [i for i in range(40) if i not in GONE]
    fisher = g[left].T @ g[left] + (0.7 + 0.1) * torch.eye(5, dtype=x.dtype)
    expected = torch.linalg.solve(fisher, g[GONE].sum(0))
    torch.testing.assert_close(
        step(WoodFisher(damping=0.7), problem, ForgetSet(records=tuple(GONE))), expected, **EXACT64
    )


def test_random_signs_stand_for_more_records_than_there_is_room_for() -> None:
    problem = fitted(600, 1.0)
    few, many = (error(problem, damping=0.1, samples=n) for n in (10, 300))
    assert many < 0.7 * few


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)`damping` must.*`samples` must"):
        WoodFisher(damping=0, samples=0)
