"""Hessian, Fisher and Gauss-Newton products against the explicit matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64
from tests.unlearn.toys import classifier, ridge, squared, tiny_data
from unlearn.curvature import fisher_operator, gauss_newton_operator, hessian_operator, record_gradients
from unlearn.curvature.operators import double_backward
from unlearn.hooks import attach
from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem

DTYPE = torch.float64


def explicit_hessian(problem: Problem, params: Params) -> Tensor:
    def objective(x: Tensor) -> Tensor:
        return problem.objective(unflatten(x, params))

    return torch.autograd.functional.hessian(objective, flatten(params))


def moved(problem: Problem) -> Params:
    """Other parameters than the problem's own, of no special kind."""
    generator = torch.Generator().manual_seed(5)
    return {
        name: value + 0.3 * torch.randn(value.shape, dtype=value.dtype, generator=generator)
        for name, value in problem.params.items()
    }


def small_recommender() -> RecommenderProblem:
    objective = WholeData(a=0.1, l2=1.0)
    return RecommenderProblem.build(tiny_data(15, 12, 60), objective=objective, dtype=DTYPE, dim=2)


def small_classifier() -> Problem:
    return classifier(n=30, d=4, hidden=3, dtype=DTYPE, epochs=3).fit()


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("make", [ridge, small_classifier, small_recommender])
def test_hessian_products(make: Callable[[], Problem], mode: str) -> None:
    problem = make()
    for params in (problem.params, moved(problem)):
        operator = hessian_operator(problem, params, mode=mode)  # pyright: ignore[reportArgumentType]
        torch.testing.assert_close(operator.matrix(), explicit_hessian(problem, params), **EXACT64)
    assert torch.equal(hessian_operator(problem).matrix(), hessian_operator(problem, problem.params).matrix())


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_what_is_linear_has_no_curvature(mode: Literal["reverse", "forward"]) -> None:
    def linear(module: nn.Module, data: Tensor) -> Tensor:
        return module(data).squeeze(1)

    problem = attach(nn.Linear(3, 1, dtype=DTYPE), linear, torch.ones(2, 3, dtype=DTYPE))
    assert not hessian_operator(problem, mode=mode).matrix().any()
    assert not double_backward(torch.sum, torch.ones(3, dtype=DTYPE))(torch.ones(3, dtype=DTYPE)).any()


def test_a_problems_own_product_is_the_one_that_is_used() -> None:
    class Own(RecommenderProblem):
        def hessian_product(self, params: Params, direction: Params) -> Params:
            return {name: 7.0 * value for name, value in direction.items()}

    base = small_recommender()
    own = Own(base.data, base.model, base.objective_function, base.graph, base.params)
    vector = flatten(moved(base))
    assert torch.equal(hessian_operator(own)(vector), 7.0 * vector)


def test_fisher_products_and_gradients_of_single_records() -> None:
    problem = small_classifier()
    chosen = torch.tensor([3, 4, 17])
    gradients = torch.stack(list(record_gradients(problem, chosen)))
    for row, record in zip(gradients, chosen, strict=True):
        leaves = {name: value.clone().requires_grad_() for name, value in problem.params.items()}
        loss = problem.record_losses(leaves)[record]
        expected = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(leaves.values()))])
        torch.testing.assert_close(row, expected, **EXACT64)
    torch.testing.assert_close(fisher_operator(problem, chosen).matrix(), gradients.T @ gradients, **EXACT64)
    everything = torch.stack(list(record_gradients(problem)))
    torch.testing.assert_close(fisher_operator(problem).matrix(), everything.T @ everything, **EXACT64)


def test_signed_sums_of_gradients_give_the_fisher_matrix_on_average() -> None:
    problem = small_classifier()
    exact = fisher_operator(problem).matrix()
    sketches = (torch.stack(list(record_gradients(problem, probes=probes))) for probes in (50, 2000))
    few, many = (float((sketch.T @ sketch - exact).norm() / exact.norm()) for sketch in sketches)
    assert many < 0.1
    assert few > 3.0 * many


# ---- Gauss-Newton ---------------------------------------------------------------------------------------------------


def test_gauss_newton_is_the_hessian_of_a_linear_model() -> None:
    problem = ridge().fit()
    torch.testing.assert_close(gauss_newton_operator(problem).matrix(), hessian_operator(problem).matrix(), **EXACT64)


def test_gauss_newton_holds_the_background_too() -> None:
    def unobserved(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        return 0.2 * module(data[0].flip(1)).square().sum()

    module, data = nn.Linear(3, 1, bias=False, dtype=DTYPE), (torch.randn(6, 3).double(), torch.randn(6).double())
    problem = attach(module, squared, data, background=unobserved, penalty=0.1)
    torch.testing.assert_close(gauss_newton_operator(problem).matrix(), hessian_operator(problem).matrix(), **EXACT64)


def test_gauss_newton_of_an_attached_network() -> None:
    """J^T (diag p - p p^T) J, record by record; positive semidefinite where the Hessian is not."""
    problem = small_classifier()
    module, (x, _) = problem.functional.call.module, problem.payload  # pyright: ignore[reportAttributeAccessIssue]
    at = flatten(problem.params)

    def logits(vector: Tensor) -> Tensor:
        return torch.func.functional_call(module, unflatten(vector, problem.params), (x,))

    jacobian = torch.autograd.functional.jacobian(logits, at)
    probabilities = torch.softmax(logits(at), 1)
    inner = torch.diag_embed(probabilities) - probabilities[:, :, None] * probabilities[:, None, :]
    found = gauss_newton_operator(problem).matrix()
    torch.testing.assert_close(found, torch.einsum("nap,nab,nbq->pq", jacobian, inner, jacobian), **EXACT64)
    assert float(torch.linalg.eigvalsh(found)[0]) > -1e-9
    assert float(torch.linalg.eigvalsh(hessian_operator(problem).matrix())[0]) < -0.01


def test_gauss_newton_needs_predictions() -> None:
    def reads_weights(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        return squared(module, data) + sum(value.square().sum() for value in module.parameters())

    data = (torch.randn(6, 3, dtype=DTYPE), torch.randn(6, dtype=DTYPE))
    linear = nn.Linear(3, 1, dtype=DTYPE)
    with pytest.raises(ValueError, match="through predictions and penalty alone"):
        gauss_newton_operator(attach(linear, reads_weights, data))

    def passes_by(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        assert isinstance(module, nn.Linear)
        return (data[0] @ module.weight[0] - data[1]).square()

    with pytest.raises(ValueError, match="must call the module itself"):
        gauss_newton_operator(attach(linear, passes_by, data))


def test_problems_that_do_not_say_what_they_predict_have_no_gauss_newton() -> None:
    class Silent(RecommenderProblem):
        linearized = None

    base = small_recommender()
    silent = Silent(base.data, base.model, base.objective_function, base.graph, base.params)
    with pytest.raises(ValueError, match="`Silent` must say what its predictions are"):
        gauss_newton_operator(silent)


def test_several_calls_of_the_module_and_weights_are_all_seen() -> None:
    def pairwise(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.softplus(module(data[1]) - module(data[0])).squeeze(1)

    generator = torch.Generator().manual_seed(0)
    better, worse = (torch.randn(8, 3, dtype=DTYPE, generator=generator) for _ in range(2))
    problem = attach(nn.Linear(3, 1, bias=False, dtype=DTYPE), pairwise, (better, worse), penalty=0.2)
    weights = torch.linspace(0.0, 1.0, 8, dtype=DTYPE)
    weighted = problem.weighted("record", weights)
    for each in (problem, weighted):  # the scores are linear in the parameters: no term is left out
        torch.testing.assert_close(gauss_newton_operator(each).matrix(), hessian_operator(each).matrix(), **EXACT64)
    assert not torch.allclose(gauss_newton_operator(problem).matrix(), gauss_newton_operator(weighted).matrix())
    smaller = replace(problem, params=moved(problem))
    assert not torch.allclose(gauss_newton_operator(smaller).matrix(), gauss_newton_operator(problem).matrix())
