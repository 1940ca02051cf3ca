"""Columns added where the bound says that the rank is short, against the dense solution."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.data import Interactions, synthetic
from recsys.linear.growth import fit_width, grow
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.recsys.convexity import CASES, TIGHT, built, convex, gram, small_data
from unlearn.history import History
from unlearn.params import Params
from unlearn.problem import Problem


@pytest.fixture(scope="module")
def small() -> Interactions:
    return small_data()


def test_growing_from_below_the_rank_reaches_the_solution(small: Interactions) -> None:
    problem = built(small, CASES[1], dim=1).fit()
    oracle = convex(problem)
    best = oracle.solve()
    rank = int((np.linalg.eigvalsh(best) > 1e-6).sum())
    assert rank >= 3, "the case is too easy to show growth"
    first = found = problem.optimality(resolution=TIGHT)
    assert first is not None
    assert first.relative > 0.05
    while found is not None and found.relative > 1e-3:
        wider = grow(problem, found)
        assert wider.params["table"].shape[1] == problem.params["table"].shape[1] + 1 == wider.model.dim
        assert float(wider.objective(wider.params)) < float(problem.objective(problem.params))
        problem = wider.fit(wider.params)
        assert problem.model.dim <= 2 * rank, "growth does not end"
        found = problem.optimality(resolution=TIGHT)
    np.testing.assert_allclose(oracle.scores(gram(problem.params)), oracle.scores(best), atol=1e-4)
    assert problem.model.dim >= rank


def test_growth_takes_the_exact_best_step_from_any_table_and_by_the_weights(small: Interactions) -> None:
    """Along s v v^T the objective is a parabola in s, and three of its points tell where it is lowest."""
    problem = built(small, CASES[2], dim=2)
    weights = torch.linspace(0.1, 1.0, len(problem.data), dtype=torch.float64)
    problem = problem.weighted("interaction", weights)
    found = problem.optimality()
    assert found is not None
    wider = grow(problem, found)
    table, column = wider.params["table"].split([2, 1], dim=1)
    values = [float(wider.objective({"table": torch.cat([table, s**0.5 * column], dim=1)})) for s in (0.0, 1.0, 2.0)]
    lowest = 0.5 * (3 * values[0] - 4 * values[1] + values[2]) / (values[0] - 2 * values[1] + values[2])
    assert lowest == pytest.approx(1.0, rel=1e-9) and values[1] < values[0]


def test_a_grown_table_is_trained_with_the_hooks_that_it_had_and_has_not_stopped_anywhere(small: Interactions) -> None:
    def hook(problem: Problem, params: Params) -> Tensor:
        return (params["table"] - 1.0).square().sum()

    had = History(residual=1.0, seconds=2.0, seed=5, hooks=(hook,), removed=3)
    problem = built(small, CASES[1], dim=1)
    problem = problem.with_params(problem.params, history=had)
    found = problem.optimality()
    assert found is not None
    assert grow(problem, found).history == History(seed=5, hooks=(hook,), removed=3)


def test_growth_without_a_direction_says_so(small: Interactions) -> None:
    problem = built(small, CASES[2], l2=20.0)  # no column is worth its price
    found = problem.optimality()
    assert found is not None and found.curvature > 0.0
    with pytest.raises(ValueError, match="negative curvature"):
        grow(problem, found)


def sparse(dim: int, *, l2: float = 0.1, model: str = "lightgcn") -> RecommenderProblem:
    data = synthetic(n_users=300, n_items=250, n_interactions=5000, seed=4)
    options = TrainingOptions(seed=3, init_std=0.05)
    return RecommenderProblem.build(data, model=model, objective=WholeData(l2=l2), options=options, dim=dim)


@functools.cache
def widest(l2: float) -> RecommenderProblem:
    return sparse(250, l2=l2).fit()


@pytest.mark.parametrize(("dim", "l2"), [(16, 0.1), (75, 0.1), (200, 0.1), (75, 0.3)])
def test_a_width_is_found_that_holds_the_solution(dim: int, l2: float) -> None:
    """From below, from as many columns as are needed, and from above; the oracle has a column for every item."""
    singular = torch.linalg.svdvals(widest(l2).params["table"])
    rank = int((singular > 0.01 * singular[0]).sum())
    assert (rank > 60) is (l2 == 0.1) and 20 < rank < 80
    found = fit_width(sparse(dim, l2=l2))
    assert rank < found.model.dim < 1.6 * rank
    settled = found.fit()
    assert settled.caveat is None
    scores, expected = (users @ items.T for users, items in (settled.readout(), widest(l2).readout()))
    assert (scores - expected).norm() < 1e-3 * expected.norm()


def test_no_width_is_larger_than_the_rank_that_scores_can_have() -> None:
    assert fit_width(sparse(100, l2=1e-4, model="mf")).model.dim == 250
    assert fit_width(sparse(400)).model.dim < 112


def test_what_a_width_was_found_for_is_as_if_built_in_it() -> None:
    found = fit_width(sparse(128))
    alike = sparse(found.model.dim)
    assert torch.equal(found.params["table"], alike.params["table"])
    assert (found.options, found.history, found.model.arguments()) == (
        alike.options, alike.history, alike.model.arguments(),
    )  # fmt: skip


@pytest.mark.parametrize(("model", "objective"), [("ngcf", "whole_data"), ("mf", "bpr")])
def test_a_width_is_known_of_linear_models_under_whole_data_only(
    model: str, objective: str, small: Interactions
) -> None:
    problem = RecommenderProblem.build(small, model=model, objective=objective, dim=4)
    with pytest.raises(ValueError, match=rf"`whole_data` only \(got {model} under {objective}\)"):
        fit_width(problem)
