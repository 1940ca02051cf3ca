"""How far the scores have come, and what the directions leave out of the way."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.linear.directions import directions
from recsys.linear.landscape import WholeDataLandscape
from recsys.linear.signs import signs
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from tests.recsys.trained import distance, large, trained
from unlearn.methods import Reconverge
from unlearn.solvers.lbfgs import lbfgs


def test_the_way_is_that_of_the_scores_and_what_is_left_to_gain_bounds_what_is_left_of_it() -> None:
    problem, forget = trained().problem, large(trained().problem)
    forget = replace(forget, users=trained().user.users)
    remaining, survey = problem.without(forget), problem.survey()
    assert survey is not None
    local = remaining.locality(problem, forget, survey, tail=0.01)
    landscape, objective = local.landscape, problem.objective_function
    assert isinstance(landscape, WholeDataLandscape) and isinstance(objective, WholeData)
    users_left, items_left = (remaining.graph.degrees() > 0).split([problem.data.n_users, problem.data.n_items])

    def scores(fitted: RecommenderProblem) -> Tensor:
        users, items = fitted.readout()
        return users[users_left] @ items[items_left].T

    best = remaining.fit(remaining.settled(forget))
    lowest, retrained, old = float(remaining.objective(best.params)), scores(best), scores(problem)
    lbfgs(landscape, local.start, max_iterations=1)
    at = remaining.with_params(local.finish()[0])
    way = landscape.way(gained=-1.0)
    bound = way / 1.6**2  # by strong convexity, without what makes an estimate of it
    assert bound == pytest.approx(objective.a * float((scores(at) - old).square().sum()), rel=1e-6)
    left = float(remaining.objective(at.params)) - lowest
    gap = float((scores(at) - retrained).norm() / (scores(at) - old).norm())
    assert 0.01 < gap <= sqrt(left / bound) < 4.0 * gap


def test_a_way_that_nobody_measures_is_what_was_gained() -> None:
    assert trained().problem.landscape().way(2.5) == 2.5


def test_where_the_directions_leave_out_too_much_everything_moves_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, forget = trained().problem, trained().user
    remaining = problem.without(forget)
    retrained = remaining.fit(remaining.settled(forget))
    by_request = Reconverge(accuracy=0.15).forget(problem, forget)
    survey = problem.survey()
    assert survey is not None
    monkeypatch.setattr(
        "recsys.linear.locality.directions",
        lambda *found: torch.linalg.qr(signs(found[3].axes.shape[1], 5, like=survey.axes)).Q,
    )
    at_random = Reconverge(accuracy=0.15).forget(problem, forget)
    near = distance(by_request.problem, retrained)
    assert distance(at_random.problem, retrained) < 1.5 * near
    monkeypatch.setattr("recsys.linear.probes.Probes.gain", lambda *_: 0.0)
    assert distance(Reconverge(accuracy=0.15).forget(problem, forget).problem, retrained) > 3.0 * near
    # The next request stands on what all of the columns became.
    again = Reconverge(accuracy=0.1).forget(at_random.problem, trained().item, at_random.state)
    fresh = Reconverge(accuracy=0.1).forget(at_random.problem, trained().item)
    assert distance(again.problem, fresh.problem) < 0.2 * distance(at_random.problem, fresh.problem)


def test_what_the_directions_may_leave_out_goes_by_the_way_and_all_columns_go_on_from_where_they_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, forget = trained().problem, trained().user
    remaining = problem.without(forget)
    local = remaining.locality(problem, forget, problem.survey(), tail=0.01)
    lbfgs(local.landscape, local.start, max_iterations=3)
    ended = float(remaining.objective(local.finish()[0]))
    assert isinstance(local.landscape, WholeDataLandscape)
    way = local.landscape.way(0.0)
    monkeypatch.setattr("recsys.linear.probes.Probes.gain", lambda *_: 0.3**2 * way)
    assert local.widened(0.31) is None
    wider = local.widened(0.29)
    assert wider is not None
    assert wider.landscape.start(wider.start) == pytest.approx(ended, rel=1e-9)


def test_the_way_over_the_directions_does_not_count_who_is_gone() -> None:
    problem, forget = trained().problem, trained().user
    remaining = problem.without(forget)
    local = remaining.locality(problem, forget, problem.survey(), tail=0.01)
    lbfgs(local.landscape, local.start, max_iterations=3)
    at, objective = remaining.with_params(local.finish()[0]), problem.objective_function
    assert isinstance(objective, WholeData)
    left = remaining.graph.degrees()[: problem.data.n_users] > 0
    (users, items), (old_users, old_items) = at.readout(), problem.readout()
    moved = objective.a * float((users @ items.T - old_users @ old_items.T)[left].square().sum())
    assert local.landscape.way(0.0) / 1.6**2 == pytest.approx(moved, rel=0.02)


def test_directions_are_sought_with_the_rows_that_this_request_left_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, told = trained().problem.without(trained().user), list[Tensor]()
    assert len(problem.loss.idle_nodes) == 1

    def recorded(*found: Any) -> Tensor | None:
        told.append(found[5])
        return directions(*found)

    monkeypatch.setattr("recsys.linear.locality.directions", recorded)
    remaining = problem.without(trained().item)
    remaining.locality(problem, trained().item, problem.survey(), tail=0.01)
    (newly,) = told
    row = int(problem.data.items.rows(trained().item.items)[0])
    assert newly.tolist() == [problem.data.n_users + row]
