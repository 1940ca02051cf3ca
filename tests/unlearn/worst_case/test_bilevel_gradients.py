"""The derivatives of the search on two levels, against explicit solves and finite differences."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import FINITE_DIFFERENCE64
from tests.unlearn.toys import ridge, tiny_data
from tests.unlearn.worst_case.searches import DTYPE, interior, ready, recommender
from unlearn.curvature import hessian_operator
from unlearn.params import flatten
from unlearn.worst_case import Bilevel, Room
from unlearn.worst_case.asking import training_weights
from unlearn.worst_case.lower import Reconverged, SignSteps, Unlearned


def social() -> RecommenderProblem:
    options = TrainingOptions(seed=1, tolerance=1e-11, max_iterations=8000)
    return RecommenderProblem.build(
        tiny_data(16, 12, 70), model="social_lightgcn", objective=WholeData(a=0.1, l2=0.2), options=options,
        dtype=DTYPE, dim=16, layers=2, tie_weight=2.0,
    ).fit()  # fmt: skip


class Exact(Reconverged):
    """The same, to where arithmetic ends, each time from the same start."""

    def unlearn(self, problem: Any, room: Room, weights: Tensor) -> Unlearned:
        faded = problem.weighted(room.unit, training_weights(room, weights, problem.params))
        params = faded.fit(problem.params).params
        return Unlearned(params, weights, faded.value_and_gradient(params)[0])


def test_of_ties_it_is_the_same_with_the_message_graph_alone_to_go_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """No loss is weighted: both parts of the slope are through arcs and degrees."""
    monkeypatch.setattr("unlearn.worst_case.lower._TOLERANCE", 1e-8)
    monkeypatch.setattr("unlearn.worst_case.lower._DAMPING", 1e-10)
    problem, search, lower = social(), Bilevel(), Exact(1, 800, degrees=True)
    room, judge = ready(problem, "ties:3")
    ahead, w = torch.zeros(len(room), dtype=DTYPE), interior(room)
    at = lower.unlearn(problem, room, w)
    _, slope = search.slope(judge, lower, at, ahead)
    _, explicit = search.slope(judge, SignSteps(1, 1e-3), at, ahead)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        way = torch.randn(len(room), generator=generator, dtype=DTYPE)
        further, nearer = (
            search.slope(judge, SignSteps(1, 1e-3), lower.unlearn(problem, room, w + sign * 1e-4 * way), ahead)[0]
            for sign in (1, -1)
        )
        assert (further - nearer) / 2e-4 == pytest.approx(float(slope @ way), rel=1e-3)
    assert float((slope - explicit).norm()) > 0.1 * float(slope.norm())


def test_what_is_minimised_is_the_relaxed_objective() -> None:
    """On a ridge, where a record's loss does not depend on how far it is forgotten."""
    problem = ridge().fit()
    room, judge = ready(problem, "records:5")
    reference, ahead = torch.linspace(0.0, 1.0, 40, dtype=DTYPE), torch.linspace(-0.2, 0.4, 40, dtype=DTYPE)
    w = interior(room)
    x, y = problem.payload
    losses = 0.5 * (x @ flatten(problem.params) - y).square()
    expected = ((w * (losses - reference + (1.0 - w) * ahead)).sum() + 0.7 * w.square().sum()) / 5.0
    at = Unlearned(problem.params, w, None)
    value, _ = Bilevel(gamma=0.7).slope(replace(judge, reference=reference), SignSteps(1, 1e-3), at, ahead)
    assert value == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("budget", ["interactions:10", "users:3", "items/interactions:12"])
def test_the_implicit_gradient_is_that_of_training_again(budget: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Central differences of f(w, theta*(w)), theta* trained anew at either end."""
    monkeypatch.setattr("unlearn.worst_case.lower._TOLERANCE", 1e-8)
    monkeypatch.setattr("unlearn.worst_case.lower._DAMPING", 1e-10)
    problem = recommender()
    room, judge = ready(problem, budget)
    search, lower = Bilevel(gamma=0.2), Exact(1, 2000, degrees=True)
    ahead = torch.linspace(-0.1, 0.3, len(room), dtype=DTYPE)
    w = interior(room)
    at = lower.unlearn(problem, room, w)
    _, slope = search.slope(judge, lower, at, ahead)

    def value(weights: Tensor) -> float:
        return search.slope(judge, SignSteps(1, 1e-3), lower.unlearn(problem, room, weights), ahead)[0]

    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        way = torch.randn(len(room), generator=generator, dtype=DTYPE)
        numeric = (value(w + 1e-4 * way) - value(w - 1e-4 * way)) / 2e-4
        assert numeric == pytest.approx(float(slope @ way), rel=1e-3)
    # What a set moves in the model is no small part of it: without the implicit term this would fail.
    _, explicit = search.slope(judge, SignSteps(1, 1e-3), at, ahead)
    assert float((slope - explicit).norm()) > 0.1 * float(slope.norm())


def test_the_implicit_part_is_the_explicit_solve() -> None:
    """On a ridge, whose Hessian and mixed derivative are written down."""
    problem = ridge().fit()
    room, _ = ready(problem, "records:5")
    w = interior(room)
    lower = Reconverged(200, 50, degrees=True)
    at = Exact(1, 1, degrees=True).unlearn(problem, room, w)
    slope = torch.arange(1.0, 6.0, dtype=DTYPE)
    x, y = problem.payload
    theta = flatten(at.params)
    shrink = 1.0 - 2.0**-10
    v = 1.0 - shrink * w
    hessian = x.T @ (v[:, None] * x) + 0.3 * torch.eye(5, dtype=DTYPE)
    mixed = -shrink * ((x @ theta - y)[:, None] * x)  # d/dw_i of grad F, a row each
    expected = -mixed @ torch.linalg.solve(hessian, slope)
    found = lower.pulled(problem, room, at, slope)
    assert float((found - expected).norm()) < 0.01 * float(expected.norm())  # the solve stops at a residual of 3 %


def test_ties_along_which_nothing_passes_pull_at_nothing() -> None:
    data = tiny_data(16, 12, 70)
    problem = RecommenderProblem.build(data, model="social_lightgcn", dtype=DTYPE, dim=4, layers=0)
    room, _ = ready(problem, "ties:2")
    lower = Reconverged(iterations=5, products=5, degrees=True)
    at = lower.unlearn(problem, room, interior(room))
    pulled = lower.pulled(problem, room, at, torch.ones_like(flatten(at.params)))
    assert pulled.shape == (len(room),) and not pulled.any()


def test_every_round_goes_on_where_the_one_before_ended() -> None:
    problem = recommender()
    room, _ = ready(problem, "users:3")
    lower, w = Reconverged(1, 8, degrees=True), interior(room)
    faded = problem.weighted("user", training_weights(room, w, problem.params))
    values = [lower.unlearn(problem, room, w).objective for _ in range(3)]
    assert faded.value_and_gradient(problem.params)[0] > values[0] > values[1] > values[2]


def test_with_degrees_held_the_implicit_part_goes_through_edges_alone() -> None:
    """What a weight does to the gradient of the training objective, degrees held, is said by the problem itself."""
    problem = recommender()
    room, _ = ready(problem, "users:3")
    w = interior(room)
    at = Unlearned(problem.params, w, None)
    slope = flatten(problem.value_and_gradient({"table": problem.params["table"].flip(0)})[1])
    full, held = (Reconverged(1, 800, degrees=degrees).pulled(problem, room, at, slope) for degrees in (True, False))
    leaf, table = w.clone().requires_grad_(), problem.params["table"].clone().requires_grad_()
    weighted = problem.weighted("user", training_weights(room, leaf, at.params), degrees=False)
    (gradient,) = torch.autograd.grad(weighted.objective({"table": table}), table, create_graph=True)
    solved = torch.linalg.solve(hessian_operator(weighted.with_params(at.params)).matrix().detach(), slope)
    expected = -torch.autograd.grad(gradient.flatten() @ solved, leaf)[0]
    assert float((held - expected).norm()) < 0.05 * float(expected.norm())
    assert float((full - held).norm()) > 0.1 * float(held.norm())


@pytest.mark.parametrize(("messages", "unit"), list(itertools.product(["full", "fixed_degrees", "none"], ["u", "i"])))
def test_the_explicit_gradient_goes_through_the_message_edges(messages: Any, unit: str) -> None:
    """Sign steps leave theta where it is, so f(., theta) is all that w moves; with degrees held, or nothing, less."""
    problem = recommender()
    room, judge = ready(problem, "users:3" if unit == "u" else "interactions:9")
    w, ahead = interior(room), torch.zeros(len(room), dtype=DTYPE)
    lower = SignSteps(2, 1e-3)
    at = lower.unlearn(problem, room, w)

    def slope_and_value(kind: Any, weights: Tensor) -> tuple[float, Tensor]:
        return Bilevel(messages=kind).slope(judge, lower, Unlearned(at.params, weights, None), ahead)

    _, slope = slope_and_value(messages, w)
    generator = torch.Generator().manual_seed(5)
    way = torch.randn(len(room), generator=generator, dtype=DTYPE)
    ends = [slope_and_value("full", w + sign * 1e-5 * way)[0] for sign in (1, -1)]
    numeric = (ends[0] - ends[1]) / 2e-5
    if messages == "full":
        torch.testing.assert_close(slope @ way, torch.tensor(numeric, dtype=DTYPE), **FINITE_DIFFERENCE64)
    else:
        assert abs(float(slope @ way) - numeric) > 1e-3 * abs(numeric)
    if messages == "none":  # l_i and nothing else
        params = {name: value.detach() for name, value in at.params.items()}
        losses = judge.asking.relaxed(params, w, degrees=True)
        torch.testing.assert_close(slope, losses / room.total)


def test_sign_steps_are_those_of_the_weighted_objective() -> None:
    problem = ridge().fit()
    room, _ = ready(problem, "records:5")
    w = interior(room)
    x, y = problem.payload
    theta = flatten(problem.params)
    v = 1.0 - (1.0 - 2.0**-10) * w
    for _ in range(3):
        theta = theta - 0.01 * (x.T @ (v * (x @ theta - y)) + 0.3 * theta).sign()
    at = SignSteps(3, 0.01).unlearn(problem, room, w)
    torch.testing.assert_close(flatten(at.params), theta)
    value = 0.5 * (v * (x @ theta - y).square()).sum() + 0.15 * theta.square().sum()
    assert at.objective == pytest.approx(float(value))


# ---- the search as a whole -------------------------------------------------------------------------------------------
