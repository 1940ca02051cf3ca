"""Newton's method on the remaining objective."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.problem import RecommenderProblem
from tests.tolerances import CONVERGED64
from tests.unlearn.methods.contract import sampled_case
from tests.unlearn.methods.exact import factorised, kept, pairs
from tests.unlearn.toys import ridge, ridge_solution
from unlearn.curvature import adam_damping, gauge_projection
from unlearn.forget import ForgetSet
from unlearn.methods import GraphDrop, Influence, Newton, Unlearner
from unlearn.methods.second_order import removed_gradient
from unlearn.params import flatten
from unlearn.problem import Problem
from unlearn.solvers.lbfgs import Solution
from unlearn.solvers.newton_cg import newton_cg
from unlearn.solvers.operator import Map


def after(unlearner: Unlearner, problem: Problem, forget: ForgetSet) -> Problem:
    result = unlearner.forget(problem, forget).problem
    assert isinstance(result, Problem)
    return result


@functools.cache
def request() -> ForgetSet:
    return pairs(factorised(), *range(0, 300, 20))


@functools.cache
def retrained() -> RecommenderProblem:
    return factorised().without(request()).fit(factorised().params)


def scores(problem: Problem) -> Tensor:
    assert isinstance(problem, RecommenderProblem)
    users, items = problem.readout()
    return users @ items.T


def gap(unlearner: Unlearner) -> float:
    truth = scores(retrained())
    found = scores(after(unlearner, factorised(), request()))
    return float((found - truth).norm() / (scores(factorised()) - truth).norm())


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_of_least_squares_one_step_is_the_retrained_model(curvature: str) -> None:
    problem = ridge().fit()
    forget = ForgetSet(records=(3, 8, 20, 21, 22, 23))
    unlearner = Newton(steps=1, tolerance=0.0, curvature=curvature)
    found = flatten(after(unlearner, problem, forget).params)
    torch.testing.assert_close(found, ridge_solution(*kept(problem, *forget.records)), **CONVERGED64)


def test_steps_close_the_gap_to_the_retrained_factorisation() -> None:
    gaps = [gap(Newton(steps=steps)) for steps in (1, 2, 4)]
    assert gaps[0] < 0.6
    assert gaps[1] < gaps[0]
    assert gaps[2] < 0.2 * gaps[0]
    assert gap(Newton(steps=8, tolerance=0.01)) < 1e-3
    assert gap(GraphDrop()) == 1.0  # without a graph there is nothing to drop


def test_second_derivatives_of_the_predictions_matter() -> None:
    """Gauss-Newton leaves out the residuals' part of the curvature and arrives later."""
    assert gap(Newton(steps=3)) < 0.5 * gap(Newton(steps=3, curvature="gauss_newton"))


def test_it_stays_safe_where_the_curvature_is_negative() -> None:
    """A far start: an undamped step lands anywhere, the trust region goes down at every step."""
    problem = factorised()
    problem = problem.with_params({name: 0.3 * value for name, value in problem.params.items()})
    remaining = problem.without(request())
    values = [float(remaining.objective(after(Newton(steps=k), problem, request()).params)) for k in (1, 2, 4)]
    assert values[0] < float(remaining.objective(problem.params))
    assert all(later <= earlier for earlier, later in itertools.pairwise(values))
    ratio = Newton(steps=20).forget(problem, request()).residual_ratio
    assert ratio is not None
    assert ratio < 0.02


@pytest.mark.parametrize(("size", "radius"), [(0.01, 0.01), (0.0, 1.0)])
def test_the_first_step_is_at_most_as_long_as_the_model(size: float, radius: float) -> None:
    problem = ridge()
    problem = problem.with_params({"weight": torch.full((1, 5), size / 5**0.5, dtype=torch.float64)})
    moved = flatten(after(Newton(steps=1), problem, ForgetSet(records=(3,))).params) - flatten(problem.params)
    assert float(moved.norm()) == pytest.approx(radius)


def test_a_step_does_not_turn_the_embeddings() -> None:
    problem = factorised()
    project = gauge_projection(problem)
    assert project is not None
    moved = flatten(after(Newton(steps=1), problem, request()).params) - flatten(problem.params)
    assert float((project(moved) - moved).norm()) < 1e-9 * float(moved.norm())


def test_later_steps_do_not_turn_the_embeddings_that_they_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Callable[[Tensor], Map]] = []

    def watched(*arguments: Any, **named: Any) -> Solution:
        kept.append(named["projection"])
        return newton_cg(*arguments, **named)

    monkeypatch.setattr("unlearn.methods.newton.newton_cg", watched)
    table = flatten(after(Newton(steps=2), factorised(), request()).params).view_as(factorised().params["table"])
    antisymmetric = torch.ones(table.shape[1], table.shape[1], dtype=table.dtype).triu(1)
    turned = (table @ (antisymmetric - antisymmetric.T)).reshape(-1)
    assert float(kept[0](table.reshape(-1))(turned).norm()) < 1e-9 * float(turned.norm())


# ---- sampled training ------------------------------------------------------------------------------------------------


def test_where_training_samples_nothing_forgotten_moves_nothing() -> None:
    problem = sampled_case().problem
    assert problem.residual() > 1.0
    nothing = Newton().step(problem, problem.without(ForgetSet()), ForgetSet(), adam_damping(problem))
    assert not nothing.any()


def test_it_solves_the_proximal_problem_in_three_steps() -> None:
    """Newton's method squares the error at every step, unless value and gradient are of different problems."""
    case = sampled_case()
    problem, forget = case.problem, case.requests[0]
    remaining = problem.without(forget)
    found = after(Newton(steps=3, tolerance=0.01), problem, forget)
    start = remaining.settled(forget)
    moved = flatten(found.params) - flatten(start)
    rest = removed_gradient(problem, remaining, forget)  # the gradient that the start lacks
    before = flatten(remaining.value_and_gradient(start)[1])
    change = flatten(remaining.value_and_gradient(found.params)[1]) - before
    # change + D moved = rest, with D Adam's damping and one number for all coordinates.
    missing = rest - change - adam_damping(problem) * moved
    number = float(missing @ moved) / float(moved @ moved)
    assert 0.01 <= number < 10.0
    assert float((missing - number * moved).norm()) < 1e-9 * float(rest.norm())


def test_an_early_stopped_model_is_not_trained_on() -> None:
    """Towards the minimum of the remaining data is away from a model that never came near its own."""
    case = sampled_case()
    problem, forget = case.problem, case.requests[0]
    reference = problem.without(forget).fit()  # coupled: the same draws for everybody who stays
    rows = torch.tensor(problem.without(forget).data.users.alive)

    def distance(model: Problem) -> float:
        return float((scores(model) - scores(reference))[rows].norm())

    ours = distance(after(Newton(), problem, forget))
    assert ours < distance(problem)
    minimised = after(Influence(damping=1.0), problem.with_params(problem.params, history=bare(problem)), forget)
    assert 3 * ours < distance(minimised)


def bare(problem: Problem) -> object:
    return type(problem.history)()


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)`curvature` must.*`max_products` must.*`steps` must.*`tolerance` must"):
        Newton(steps=0, tolerance=1.0, max_products=0, curvature="x")
