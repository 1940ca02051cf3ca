"""The whole_data landscape against the plain objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data import Interactions
from recsys.linear.landscape import _STIFFNESS, WholeDataLandscape, first_minimum
from recsys.objectives import WholeData
from recsys.objectives.model_loss import WholeDataLoss
from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64
from unlearn.params import flatten, unflatten
from unlearn.solvers.landscape import FunctionLandscape
from unlearn.solvers.lbfgs import lbfgs


@pytest.fixture(params=[None, 1, 2, 3])
def problem(request: pytest.FixtureRequest, data: Interactions) -> RecommenderProblem:
    name, arguments = ("mf", {}) if request.param is None else ("lightgcn", {"layers": request.param})
    objective = WholeData(l2=0.3, a=0.2)
    built = RecommenderProblem.build(data, model=name, objective=objective, dim=5, dtype=torch.float64, **arguments)
    weights = torch.linspace(0.1, 1.0, len(data), dtype=torch.float64)
    return built.weighted("interaction", weights) if request.param == 2 else built


def test_value_and_gradient_equal_autograd(problem: RecommenderProblem) -> None:
    landscape = problem.landscape()
    assert isinstance(landscape, WholeDataLandscape)
    leaves = {name: value.clone().requires_grad_() for name, value in problem.params.items()}
    value = problem.objective(leaves)
    assert landscape.start(flatten(problem.params)) == pytest.approx(float(value.detach()), rel=1e-12)
    (gradient,) = torch.autograd.grad(value, list(leaves.values()))
    torch.testing.assert_close(landscape.gradient(), gradient.view(-1), **EXACT64)


@pytest.mark.parametrize("seed", range(200))
def test_the_first_minimum_of_a_quartic_is_the_first_of_all_its_roots(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-4, 4, size=4)
    a, b, c, slope = scale * [rng.random(), rng.normal(), rng.normal(), -rng.random()]
    roots = np.roots([4 * a, 3 * b, 2 * c, slope])
    ahead = roots.real[(np.abs(roots.imag) <= 1e-9 * np.abs(roots)) & (roots.real > 0)]
    length, change = first_minimum(a, b, c, slope)
    assert length == pytest.approx(min(ahead), rel=1e-6)
    assert change == pytest.approx(np.polyval([a, b, c, slope, 0.0], length), rel=1e-12)
    assert change < 0


def test_a_quartic_that_is_a_parabola_has_one_minimum_and_one_that_rounding_flattened_has_none() -> None:
    assert first_minimum(0.0, 0.0, 2.0, -8.0) == (2.0, -8.0)
    assert first_minimum(0.0, 0.0, 1.0, -0.0) == (0.0, 0.0)


def test_search_finds_the_minimum_along_the_line(problem: RecommenderProblem) -> None:
    landscape = problem.landscape()
    start = landscape.start(flatten(problem.params))
    gradient = landscape.gradient().clone()
    step = landscape.search(-gradient, -float(gradient @ gradient))
    torch.testing.assert_close(landscape.point, flatten(problem.params) - step.length * gradient, **EXACT64)

    def along(t: float) -> float:
        return float(problem.objective(unflatten(flatten(problem.params) - t * gradient, problem.params)))

    assert step.value == pytest.approx(along(step.length), rel=1e-11)
    assert step.value < start
    assert all(step.value <= along(t) + 1e-9 for t in np.linspace(0, 4 * step.length, 41))
    # what the search left behind serves the next gradient
    fresh = problem.landscape()
    fresh.start(landscape.point)
    torch.testing.assert_close(landscape.gradient(), fresh.gradient(), **EXACT64)


def test_rounding_adds_up_no_longer_than_to_the_renewal(
    problem: RecommenderProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.linear.landscape._RENEW", 3)
    landscape = problem.landscape()
    landscape.start(flatten(problem.params))
    for searches in range(1, 4):
        gradient = landscape.gradient().clone()
        step = landscape.search(-gradient, -float(gradient @ gradient))
        fresh = problem.landscape()
        same = fresh.start(landscape.point) == step.value and torch.equal(fresh.gradient(), landscape.gradient())
        assert same == (searches == 3)


def test_a_landscape_that_is_started_again_remembers_nothing_of_its_way(problem: RecommenderProblem) -> None:
    loss = problem.loss
    assert isinstance(loss, WholeDataLoss)
    old = torch.cat(problem.readout())
    once, used = (WholeDataLandscape(loss, columns=5, old=old) for _ in range(2))
    lbfgs(used, flatten(problem.params), max_iterations=3)
    assert used.way(0.0) > 0.0
    there = 2.0 * flatten(problem.params)
    once.start(there)
    used.start(there)
    assert used.way(0.0) == once.way(0.0)


def test_preconditioner_is_the_inverse_of_what_the_hessian_does_to_a_row(problem: RecommenderProblem) -> None:
    """2 l2 I + c Z^T Z, with the embeddings Z of the other side."""
    landscape = problem.landscape()
    landscape.start(flatten(problem.params))
    (users, items), sizes = problem.readout(), [problem.data.n_users, problem.data.n_items]
    vector = torch.randn(problem.params["table"].shape, dtype=torch.float64)

    def solved(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        matrix = 2.0 * 0.3 * torch.eye(5, dtype=torch.float64) + _STIFFNESS * 0.2 * others.T @ others
        return torch.linalg.solve(matrix, rows.T).T

    of_users, of_items = vector.split(sizes)
    expected = torch.cat([solved(of_users, items), solved(of_items, users)])
    torch.testing.assert_close(landscape.precondition(vector.clone().flatten()), expected.flatten(), **EXACT64)
    known = problem.survey()  # the same, in coordinates of its own
    assert known is not None
    of_users, of_items = (vector @ known.axes).split(sizes)
    found = torch.cat([of_users @ known.inverse_users, of_items @ known.inverse_items]) @ known.axes.T
    torch.testing.assert_close(found, expected, **EXACT64)
    for root, inverse in ((known.root_users, known.inverse_users), (known.root_items, known.inverse_items)):
        torch.testing.assert_close(root @ root.T, inverse, **EXACT64)


def test_without_a_penalty_there_is_a_preconditioner_too(data: Interactions) -> None:
    problem = RecommenderProblem.build(data, objective=WholeData(l2=0.0), dim=20)  # more columns than items
    for scale in (1.0, 0.0):
        landscape = problem.landscape()
        landscape.start(scale * flatten(problem.params))
        vector = torch.randn(flatten(problem.params).shape, generator=torch.Generator().manual_seed(0))
        assert 0.0 < float(vector @ landscape.precondition(vector.clone())) < torch.inf


def test_it_reaches_the_same_minimum_as_a_plain_function_in_fewer_evaluations(problem: RecommenderProblem) -> None:
    fast = lbfgs(problem.landscape(), flatten(problem.params), tolerance=1e-8, max_iterations=3000)

    def function(x: torch.Tensor) -> tuple[float, torch.Tensor]:
        value, gradient = problem.value_and_gradient(unflatten(x, problem.params))
        return value, flatten(gradient)

    slow = lbfgs(FunctionLandscape(function), flatten(problem.params), tolerance=1e-8, max_iterations=3000)
    assert fast.converged and slow.converged
    assert fast.value == pytest.approx(slow.value, rel=1e-9)
    assert fast.evaluations < slow.evaluations
