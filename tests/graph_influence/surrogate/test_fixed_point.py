"""Derivatives of a fixed point, of any order, against those of so many rounds that nothing moves any more."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor

from graph_influence.problem import SurrogateProblem
from graph_influence.surrogate import (
    Hybrid,
    MeanField,
    NonBacktracking,
    Regime,
    Surrogate,
    TensorGraph,
    TrainingOptions,
)
from graph_influence.surrogate.fixed_point import fixed_point
from graph_influence.surrogate.training import _errors
from graph_influence.synthetic import power_law
from tests.oracles.cascades import random_graph
from tests.tolerances import CONVERGED64
from unlearn.params import Params, flatten, unflatten

START = torch.zeros(4, dtype=torch.float64)


def step(z: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    return torch.tanh(matrix @ z + offset)


def reached(matrix: Tensor, offset: Tensor) -> Tensor:
    return fixed_point(step, START, matrix, offset)


def iterated(matrix: Tensor, offset: Tensor) -> Tensor:
    z = START
    for _ in range(200):
        z = step(z, matrix, offset)
    return z


@pytest.fixture
def given() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    matrix, offset = (torch.randn(*size, generator=random, dtype=torch.float64) for size in ((4, 4), (4,)))
    return (0.3 * matrix).requires_grad_(), offset.requires_grad_()


def test_three_orders_are_those_of_many_rounds(given: tuple[Tensor, Tensor]) -> None:
    values = [(form(*given) * torch.arange(4)).sin().sum() for form in (reached, iterated)]
    for _ in range(3):
        found = [torch.autograd.grad(value, given, create_graph=True) for value in values]
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(ours, theirs, **CONVERGED64)
        values = [torch.stack([one.square().sum() for one in each]).sum() for each in found]


def test_what_needs_no_gradient_gets_none(given: tuple[Tensor, Tensor]) -> None:
    matrix, offset = given
    assert not reached(matrix.detach(), offset.detach()).requires_grad
    (alone,) = torch.autograd.grad(reached(matrix.detach(), offset).sum(), offset)
    torch.testing.assert_close(alone, torch.autograd.grad(reached(matrix, offset).sum(), offset)[0])


def test_nothing_outlives_what_was_reached(given: tuple[Tensor, Tensor]) -> None:
    read = given[0] * 1.0
    found = reached(read, given[1])
    (gradient,) = torch.autograd.grad(found.sum(), given[1], create_graph=True)
    gone = weakref.ref(read)
    del read, found, gradient
    gc.collect()
    assert gone() is None


FORMS = [NonBacktracking(None), NonBacktracking(None, "lt"), MeanField(None), Hybrid(None, 2)]


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_second_derivatives_are_those_of_finite_differences(form: Surrogate) -> None:
    graph = TensorGraph.of(random_graph(7, "lt"))
    random = torch.Generator().manual_seed(1)
    sizes = graph.num_nodes, len(graph.source), graph.num_nodes
    given = [(0.1 + 0.8 * torch.rand(size, generator=random, dtype=torch.float64)).requires_grad_() for size in sizes]

    def spread(seeds: Tensor, retention: Tensor, open_: Tensor) -> Tensor:
        return form.spread(graph, seeds[None], retention * graph.probability, open_)

    assert torch.autograd.gradgradcheck(spread, tuple(given), atol=1e-6)


def test_products_with_the_hessian_of_what_was_learned_are_those_of_finite_differences() -> None:
    graph = power_law(60, seed=1)
    sets = [np.array([0, 1, 2]), np.array([5, 9, 30])]
    problem = SurrogateProblem.build(Hybrid(None, 2), graph, sets, runs=200, penalty=0.0)
    x = flatten(problem.params)
    v = torch.randn(len(x), generator=torch.Generator().manual_seed(0), dtype=x.dtype)

    def gradient(at: Tensor) -> Tensor:
        return flatten(problem.value_and_gradient(unflatten(at, problem.params))[1])

    direction: Params = unflatten(v, problem.params)
    found = flatten(problem.hessian_product(problem.params, direction))
    expected = (gradient(x + 1e-5 * v) - gradient(x - 1e-5 * v)) / 2e-5
    assert (found - expected).norm() < 1e-6 * expected.norm()


def test_taught_drops_have_the_gradient_of_many_rounds() -> None:
    one = Regime(graphs=1, sets=3, least=60, most=80, seed_share=0.1, runs=200).draw("train")[0]
    found: list[Tensor] = []
    for rounds in (400, None):
        network = Hybrid(rounds, 2)
        loss = _errors(network, one, torch.arange(3), TrainingOptions(drops=2.0)).sum()
        found.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(network.parameters()))]))
    assert (found[1] - found[0]).norm() < 1e-7 * found[0].norm()
