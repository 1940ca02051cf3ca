"""The seam: parameters as vectors, default derivatives, what travels with a problem."""

from __future__ import annotations

import pytest
import torch

from tests.tolerances import EXACT64, FINITE_DIFFERENCE64
from tests.unlearn.toys import RIDGE_PENALTY, classifier, regression, ridge
from unlearn.forget import ForgetSet
from unlearn.history import AdamState, Checkpoint, History
from unlearn.methods import FineTune, MissingRequirement, State, Unlearner
from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem

DTYPE = torch.float64


@pytest.fixture(params=["ridge", "classifier"])
def problem(request: pytest.FixtureRequest) -> Problem:
    torch.manual_seed(0)
    return ridge() if request.param == "ridge" else classifier(30, hidden=4, d=6, dtype=DTYPE)


def test_parameters_become_a_vector_and_back() -> None:
    params: Params = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor(7.0), "empty": torch.zeros(0, 3)}
    vector = flatten(params)
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 7]
    back = unflatten(vector, params)
    assert list(back) == list(params)
    assert all(torch.equal(back[name], value) for name, value in params.items())
    with pytest.raises(ValueError, match=r"`vector` must have 7 entries .* \(got 8\)"):
        unflatten(torch.zeros(8), params)


def test_a_vector_is_detached() -> None:
    assert not flatten({"a": torch.ones(2, requires_grad=True)}).requires_grad


def test_the_objective_is_the_sum_of_its_parts(problem: Problem) -> None:
    parts = (
        problem.record_losses(problem.params).sum(),
        problem.background(problem.params),
        problem.penalty(problem.params),
    )
    torch.testing.assert_close(problem.objective(problem.params), sum(parts, torch.zeros((), dtype=DTYPE)), **EXACT64)


def test_the_gradient_agrees_with_finite_differences(problem: Problem) -> None:
    value, gradient = problem.value_and_gradient(problem.params)
    assert value == pytest.approx(float(problem.objective(problem.params)))
    x, h = flatten(problem.params), 1e-6
    for k in range(0, x.numel(), max(1, x.numel() // 20)):
        step = torch.zeros_like(x)
        step[k] = h
        up, down = (float(problem.objective(unflatten(end, problem.params))) for end in (x + step, x - step))
        expected = torch.tensor((up - down) / (2 * h), dtype=DTYPE)
        torch.testing.assert_close(flatten(gradient)[k], expected, **FINITE_DIFFERENCE64)
    assert problem.residual() == pytest.approx(float(flatten(gradient).norm()))


def test_the_hessian_product_agrees_with_finite_differences(problem: Problem) -> None:
    direction = torch.randn(flatten(problem.params).shape, dtype=DTYPE, generator=torch.Generator().manual_seed(1))
    product = flatten(problem.hessian_product(problem.params, unflatten(direction, problem.params)))
    x, h = flatten(problem.params), 1e-5
    up, down = (
        flatten(problem.value_and_gradient(unflatten(end, problem.params))[1])
        for end in (x + h * direction, x - h * direction)
    )
    torch.testing.assert_close(product, (up - down) / (2 * h), **FINITE_DIFFERENCE64)


def test_the_hessian_of_ridge_is_known() -> None:
    x, _ = regression()
    hessian = x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=DTYPE)
    direction = torch.tensor([[1.0, -2.0, 0.5, 0.0, 3.0]], dtype=DTYPE)
    problem = ridge()
    product = problem.hessian_product(problem.params, {"weight": direction})
    torch.testing.assert_close(product["weight"], direction @ hessian, **EXACT64)


def test_the_landscape_is_the_objective(problem: Problem) -> None:
    landscape, x = problem.landscape(), flatten(problem.params)
    value, gradient = problem.value_and_gradient(problem.params)
    assert landscape.start(x) == value
    assert torch.equal(landscape.gradient(), flatten(gradient))
    direction = -landscape.gradient()
    slope = float(landscape.gradient() @ direction)
    step = landscape.search(direction, slope)
    assert step.value < value
    torch.testing.assert_close(landscape.point, x + step.length * direction, **EXACT64)
    assert float(problem.objective(unflatten(landscape.point, problem.params))) == pytest.approx(step.value)


def test_row_changes_are_by_row() -> None:
    problem = classifier(10, hidden=4, d=6)
    params = {name: value.clone() for name, value in problem.params.items()}
    params["hidden.weight"][2, 3] += 1
    params["out.bias"][7] -= 1
    changed = {name: rows.nonzero().flatten().tolist() for name, rows in problem.row_changes(params)}
    assert changed == {"hidden.weight": [2], "hidden.bias": [], "out.weight": [], "out.bias": [7]}


def test_history_ages_and_drops_what_no_longer_holds() -> None:
    params: Params = {"weight": torch.zeros(1, 5)}
    hooks = (lambda problem, params: torch.zeros(()),)
    adam = AdamState(params, params, 4, 0.1)
    kept = (Checkpoint(2, params, adam),)
    history = History(residual=1.0, seed=3, checkpoints=kept, optimizer=adam, hooks=hooks, removed=2)
    problem = ridge()
    aged = problem.with_params(problem.params, history=history).aged(5, 0.25)
    assert (aged.removed, aged.residual, aged.seed, aged.hooks) == (7, 0.25, 3, hooks)
    assert (aged.checkpoints, aged.optimizer) == ((), None)
    assert history.has("checkpoints") and history.has("optimizer")
    assert not aged.has("checkpoints") and not aged.has("optimizer")


def test_a_problem_that_keeps_no_checkpoints_cannot_resume() -> None:
    problem = ridge()
    with pytest.raises(NotImplementedError, match="AttachedProblem keeps no checkpoints"):
        problem.resume(Checkpoint(0, problem.params))


def test_requirements_are_checked_before_any_work() -> None:
    class Rewinding(FineTune):
        requires = frozenset({"history.checkpoints"})

        def _forget(
            self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
        ) -> tuple[Problem, State | None]:
            raise AssertionError("no work may begin")

    unlearner: Unlearner = Rewinding()
    for work in (lambda: unlearner.prepare(ridge()), lambda: unlearner.forget(ridge(), ForgetSet(records=(0,)))):
        with pytest.raises(MissingRequirement, match=r"needs history\.checkpoints, which this problem did not keep"):
            work()
