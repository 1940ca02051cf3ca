"""Sums over all items against the dense formula, to second derivatives, and what a graph of them keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from recsys.data import synthetic
from recsys.objectives import Multinomial, multinomial
from recsys.objectives.log_sum_exp import log_sum_exp
from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64
from unlearn.curvature.operators import hessian_operator
from unlearn.params import flatten


def factors(n: int, m: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(k, 3, dtype=torch.float64, generator=generator).requires_grad_() for k in (n, m)]


@pytest.mark.parametrize("step", [1, 3, 7, 100])
def test_values_and_gradients_are_those_of_the_dense_formula(step: int) -> None:
    users, items = factors(7, 5)
    slopes = torch.arange(1.0, 8.0, dtype=torch.float64)
    found, dense = log_sum_exp(users, items, step), torch.logsumexp(users @ items.T, 1)
    torch.testing.assert_close(found, dense, **EXACT64)
    for one, other in zip(
        torch.autograd.grad(found, [users, items], slopes),
        torch.autograd.grad(dense, [users, items], slopes),
        strict=True,
    ):
        torch.testing.assert_close(one, other, **EXACT64)


def test_second_derivatives_in_both_modes() -> None:
    given = factors(4, 5)
    assert torch.autograd.gradcheck(lambda a, b: log_sum_exp(a, b, 3), given, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda a, b: log_sum_exp(a, b, 3), given, check_fwd_over_rev=True)


def test_hessian_products_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = RecommenderProblem.build(
        synthetic(30, 20, 200, seed=1), objective=Multinomial(), dim=4, layers=2, dtype=torch.float64
    )
    vector = torch.randn(
        flatten(problem.params).numel(), dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    expected = hessian_operator(problem)(vector)
    monkeypatch.setattr(multinomial, "_BLOCK", 60)  # three users at a time
    for mode in ("reverse", "forward"):
        operator = hessian_operator(problem, mode=mode)
        for _ in range(2):  # the graph is kept from one product to the next
            torch.testing.assert_close(operator(vector), expected, **EXACT64)


def test_no_graph_keeps_the_scores() -> None:
    users, items = factors(300, 200)
    kept: list[int] = []

    def noted(value: Tensor) -> Tensor:
        kept.append(value.numel())
        return value

    with saved_tensors_hooks(noted, lambda value: value):
        total = log_sum_exp(users, items, 10).sum()
        first = torch.autograd.grad(total, [users, items], create_graph=True)
    assert 0 < max(kept) <= 300 * 3
    assert sum(kept) < 300 * 200 / 2
    second = torch.autograd.grad(first[0].square().sum(), items)[0]
    assert second.norm() > 0
