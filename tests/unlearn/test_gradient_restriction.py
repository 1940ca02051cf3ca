"""The training term that keeps gradients small, against loops and finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.tolerances import EXACT64, FINITE_DIFFERENCE64
from tests.unlearn.toys import RIDGE_PENALTY, classifier, regression, ridge, squared, tiny_recommender
from unlearn.attached import AttachedProblem
from unlearn.hooks import AttachedOptions, attach, gradient_restriction
from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem

DTYPE = torch.float64


def value(problem: Problem, x: Tensor, **arguments: int | None) -> Tensor:
    params = {name: part.requires_grad_() for name, part in unflatten(x.clone(), problem.params).items()}
    return gradient_restriction(0.3, **arguments)(problem, params).detach()


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 40), (16, [16, 16, 8]), (None, [40])])
def test_it_is_the_norm_of_every_batch(batch: int | None, sizes: list[int]) -> None:
    problem = ridge()
    x, y = regression()
    w = flatten(problem.params)
    expected, start = 0.0, 0
    for size in sizes:
        gradient = sum(((x[i] @ w - y[i]) * x[i] for i in range(start, start + size)), torch.zeros(5, dtype=DTYPE))
        expected += 0.3 * float(gradient.norm())
        start += size
    assert float(value(problem, w, batch=batch)) == pytest.approx(expected, rel=EXACT64["rtol"])


def hooked_gradient(problem: Problem, batch: int | None) -> tuple[Tensor, Tensor]:
    """Gradient of the term by double backward, and by central differences along every coordinate."""
    leaves: Params = {name: part.clone().requires_grad_() for name, part in problem.params.items()}
    term = gradient_restriction(0.3, batch=batch)(problem, leaves)
    exact = torch.cat([g.reshape(-1) for g in torch.autograd.grad(term, list(leaves.values()))])
    x, h = flatten(problem.params), 1e-6
    steps = torch.eye(x.numel(), dtype=DTYPE) * h
    ends = [(value(problem, x + step, batch=batch), value(problem, x - step, batch=batch)) for step in steps[:60]]
    return exact[:60], torch.stack([(up - down) / (2 * h) for up, down in ends])


def test_its_gradient_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    problem = classifier(20, hidden=3, dtype=DTYPE)
    torch.testing.assert_close(*hooked_gradient(problem, 8), **FINITE_DIFFERENCE64)


def test_its_gradient_passes_through_graph_propagation() -> None:
    torch.testing.assert_close(*hooked_gradient(tiny_recommender(), 100), **FINITE_DIFFERENCE64)


def test_a_gradient_of_zero_does_not_make_it_undefined() -> None:
    x = torch.zeros(4, 5, dtype=DTYPE)
    problem = attach(torch.nn.Linear(5, 1).to(DTYPE), lambda module, data: module(data).squeeze(-1) ** 2 * 0.0, x)
    leaves = {name: part.clone().requires_grad_() for name, part in problem.params.items()}
    term = gradient_restriction(1.0, batch=2)(problem, leaves)
    assert float(term.detach()) == pytest.approx(2e-6)
    gradients = torch.autograd.grad(term, list(leaves.values()))
    assert all(torch.isfinite(g).all() for g in gradients)


def record_gradient_norms(problem: AttachedProblem) -> Tensor:
    rows: list[Tensor] = []
    for i in range(problem.n_records):
        leaves = {name: part.clone().requires_grad_() for name, part in problem.params.items()}
        loss = problem.record_losses(leaves, torch.tensor([i])).sum()
        rows.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(leaves.values()))]).norm())
    return torch.stack(rows)


def test_training_with_it_makes_the_records_gradients_smaller() -> None:
    x, y = regression()
    y[0] += 20.0  # an outlier, whose gradient leads all the others
    total: list[float] = []
    for alpha in (0.0, 0.1, 1.0):
        hooks = (gradient_restriction(alpha, batch=1),)
        module = torch.nn.Linear(5, 1, bias=False).to(DTYPE)
        options = AttachedOptions(max_iterations=60)
        fitted = attach(module, squared, (x, y), penalty=RIDGE_PENALTY, hooks=hooks, options=options).fit()
        assert fitted.history.hooks == hooks
        total.append(float(record_gradient_norms(fitted).sum()))
    assert total[0] > 1.01 * total[1] > 1.01**2 * total[2]


def test_bad_arguments_are_reported_together() -> None:
    with pytest.raises(ValueError, match=r"(?s)`alpha` must be at least 0 .*\(got -1\).*`batch` must be a positive"):
        gradient_restriction(-1, batch=0)
