"""A problem's derivatives against finite differences."""

from __future__ import annotations

import pytest
import torch

from recsys.problem import RecommenderProblem


def assert_derivatives_match(problem: RecommenderProblem) -> None:
    """Of the table: value and gradient, and the Hessian times a vector."""
    table = problem.params["table"]
    direction = torch.randn(table.shape, generator=torch.Generator().manual_seed(0), dtype=table.dtype)
    step = 1e-5
    ahead, ahead_gradient = problem.value_and_gradient({"table": table + step * direction})
    behind, behind_gradient = problem.value_and_gradient({"table": table - step * direction})
    value, gradient = problem.value_and_gradient(problem.params)
    assert value == pytest.approx(float(problem.objective(problem.params)), rel=1e-12)
    assert float((gradient["table"] * direction).sum()) == pytest.approx((ahead - behind) / (2 * step), rel=1e-6)
    product = problem.hessian_product(problem.params, {"table": direction})["table"]
    expected = (ahead_gradient["table"] - behind_gradient["table"]) / (2 * step)
    torch.testing.assert_close(product, expected, rtol=1e-5, atol=1e-5)
    assert product.norm() > 1e-3
