"""Moving only what a request moves: the narrow objective against the whole one, and its results against retraining."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.data import synthetic
from recsys.linear.landscape import FrozenColumns, WholeDataLandscape
from recsys.linear.survey import Survey
from recsys.objectives import Multinomial, WholeData
from recsys.objectives.model_loss import WholeDataLoss
from recsys.problem import RecommenderProblem
from tests.recsys.trained import DIM, distance, large, trained
from unlearn.forget import ForgetSet
from unlearn.methods import Reconverge, method
from unlearn.params import flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.lbfgs import lbfgs


def narrowed(problem: RecommenderProblem, basis: Tensor) -> WholeDataLandscape:
    """The objective of `problem` over the columns of `basis`, everything else as it stands."""
    users, items = problem.readout()
    old_users, old_items = users @ basis, items @ basis
    rest = problem.graph.edge_products(users, items) - problem.graph.edge_products(old_users, old_items)
    frozen = FrozenColumns(torch.cat([users, items]), basis, rest, torch.empty(0, dtype=torch.int64))
    loss = problem.loss
    assert isinstance(loss, WholeDataLoss)
    return WholeDataLandscape(loss, columns=basis.shape[1], frozen=frozen)


def random_basis(k: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(DIM, k, generator=generator, dtype=torch.float64)).Q


def test_the_narrow_objective_is_the_whole_one_along_its_columns() -> None:
    problem, basis = trained().problem, random_basis(7)
    narrow = narrowed(problem, basis)
    table = problem.params["table"]
    start = narrow.start((table @ basis).reshape(-1))
    generator = torch.Generator().manual_seed(1)
    shift = 0.3 * torch.randn(len(table), 7, generator=generator, dtype=torch.float64)
    value = narrow.start((table @ basis + shift).reshape(-1))
    moved = {"table": table + shift @ basis.T}
    expected, gradient = problem.value_and_gradient(moved)
    before = float(problem.objective(problem.params))
    assert value - start == pytest.approx(expected - before, rel=1e-9)
    torch.testing.assert_close(narrow.gradient().view(shift.shape), gradient["table"] @ basis, rtol=1e-9, atol=1e-9)


def test_the_narrow_search_ends_at_the_lowest_point_of_the_whole_line() -> None:
    problem, basis = trained().problem, random_basis(5)
    narrow = narrowed(problem, basis)
    table = problem.params["table"]
    generator = torch.Generator().manual_seed(3)
    shift = 0.2 * torch.randn(len(table), 5, generator=generator, dtype=torch.float64)
    narrow.start((table @ basis + shift).reshape(-1))
    for _ in range(2):  # the second search stands on what the first one updated in place
        direction = narrow.gradient().clone().neg_()
        at = narrow.point.clone()
        step = narrow.search(direction, -float(direction.square().sum()))

        def value(length: float, at: Tensor = at, direction: Tensor = direction) -> float:
            moved = (at + length * direction).view(shift.shape) - table @ basis
            return float(problem.objective({"table": table + moved @ basis.T}))

        lengths = [step.length * factor for factor in (0.99, 1.0, 1.01)]
        assert value(lengths[1]) < min(value(lengths[0]), value(lengths[2]))


@pytest.mark.parametrize("kind", ["user", "item", "single"])
def test_a_small_request_moves_few_directions_and_comes_near_the_retrain(kind: str) -> None:
    problem, forget = trained().problem, getattr(trained(), kind)
    remaining = problem.without(forget)
    start = remaining.settled(forget)
    local = remaining.locality(problem, forget, problem.survey(), tail=0.01)
    assert local.start.numel() <= remaining.graph.n_nodes * DIM // 2
    retrained = remaining.fit(start)
    dropped = distance(remaining.with_params(start), retrained)
    narrow = Reconverge(accuracy=0.1).forget(problem, forget).problem
    wide = Reconverge(accuracy=0.01).forget(problem, forget).problem
    assert distance(wide, retrained) < 0.1 * dropped
    assert distance(narrow, retrained) < 0.4 * dropped
    # The same number of directions drawn at random is no substitute for those that the request names.
    k = local.start.numel() // remaining.graph.n_nodes
    assert distance(narrow, retrained) < 0.6 * distance(_along(remaining, start, random_basis(k)), retrained)


def _along(remaining: RecommenderProblem, start: dict[str, Tensor], basis: Tensor) -> Problem:
    """The best that moving the columns of `basis` can do."""
    table = start["table"]
    at = remaining.with_params(start)
    solved = lbfgs(narrowed(at, basis), (table @ basis).reshape(-1), accuracy=0.02).x
    return at.with_params({"table": table + (solved.view(-1, basis.shape[1]) - table @ basis) @ basis.T})


def test_a_large_request_moves_all_columns_that_the_table_has_a_rank_for() -> None:
    problem, forget = trained().problem, large(trained().problem)
    remaining = problem.without(forget)
    survey = problem.survey()
    assert survey is not None
    r = survey.axes.shape[1]
    assert 70 <= r < DIM
    local = remaining.locality(problem, forget, survey, tail=0.01)
    assert local.start.numel() == remaining.graph.n_nodes * r
    lbfgs(local.landscape, local.start, max_iterations=8)
    served = remaining.with_params(local.finish()[0])
    # The same as moving the whole table, for no step leaves the row space.
    start = remaining.settled(forget)
    solved = unflatten(lbfgs(remaining.landscape(), flatten(start), max_iterations=8).x, start)
    moved = distance(remaining.with_params(start), served)
    assert distance(served, remaining.with_params(solved)) < 1e-4 * moved


def test_what_is_to_come_nearer_than_directions_reach_moves_the_row_space_and_at_the_finest_everything() -> None:
    problem, forget = trained().problem, trained().user
    remaining = problem.without(forget)
    survey, start = problem.survey(), remaining.settled(forget)
    assert survey is not None
    local = remaining.locality(problem, forget, survey, tail=0.0)
    assert local.start.numel() == remaining.graph.n_nodes * survey.axes.shape[1] < start["table"].numel()
    assert Reconverge(accuracy=0.05).prepare(problem) is not None
    assert Reconverge(accuracy=0.005).prepare(problem) is None
    retrained = remaining.fit(start)
    dropped = distance(remaining.with_params(start), retrained)
    gaps = [
        distance(Reconverge(accuracy=accuracy).forget(problem, forget).problem, retrained) / dropped
        for accuracy in (0.1, 0.05, 0.02)
    ]
    assert gaps[0] > 2 * gaps[1] > 3 * gaps[2] and gaps[1] < 0.1


@pytest.mark.parametrize("dim", [8, DIM])
def test_the_gradient_of_what_remains_stays_in_the_row_space_of_the_table(dim: int) -> None:
    problem = trained().problem
    if dim < DIM:  # narrower than the solution's rank, the table has all of its columns
        problem = RecommenderProblem.build(problem.data, objective=WholeData(a=0.05, l2=0.1), dim=dim).fit()
    survey = problem.survey()
    assert survey is not None
    axes, table = survey.axes, problem.params["table"]
    torch.testing.assert_close(axes.T @ axes, torch.eye(axes.shape[1], dtype=axes.dtype))
    eps = torch.finfo(table.dtype).eps
    assert (table - table @ axes @ axes.T).norm() <= (dim * eps) ** 0.5 * table.norm()
    remaining = problem.without(large(problem))
    gradient = remaining.value_and_gradient(problem.params)[1]["table"]
    assert (gradient - gradient @ axes @ axes.T).norm() <= 2 * (dim * eps) ** 0.5 * gradient.norm()
    assert (axes.shape[1] == dim) == (dim < DIM)


def final(survey: Survey) -> Tensor:
    """Final embeddings in the coordinates of the table, whatever those of the survey."""
    return survey.final @ survey.axes.T


@pytest.mark.parametrize("kind", ["user", "item", "single"])
def test_the_survey_is_carried_on_to_the_next_request(kind: str) -> None:
    problem, forget = trained().problem, getattr(trained(), kind)
    unlearner = method("reconverge")
    result = unlearner.forget(problem, forget, unlearner.prepare(problem))
    assert result.state is not None
    carried, fresh = result.state.payload, result.problem.survey()  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(carried, Survey)
    assert isinstance(fresh, Survey)
    before = problem.survey()
    assert before is not None
    moved = (final(fresh) - final(before)).norm()
    assert 0 < (final(carried) - final(fresh)).norm() < 0.2 * moved
    kept = torch.ones(len(before.scores), dtype=torch.bool).index_fill_(0, problem.records(forget), False)
    assert (carried.scores - fresh.scores).norm() < 0.3 * (fresh.scores - before.scores[kept]).norm()


def test_the_survey_is_made_afresh_before_its_error_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.linear.locality._RENEW", 2)
    problem, unlearner = trained().problem, Reconverge()
    first = unlearner.forget(problem, trained().user, unlearner.prepare(problem))
    second = unlearner.forget(first.problem, trained().single, first.state)
    assert second.state is not None
    fresh = second.problem.survey()  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(fresh, Survey)
    torch.testing.assert_close(second.state.payload.final, fresh.final)


@pytest.mark.parametrize("kind", ["user", "item"])
def test_what_is_forgotten_stays_zero_in_parameters_and_survey(kind: str) -> None:
    problem, forget = trained().problem, getattr(trained(), kind)
    unlearner = Reconverge()
    result = unlearner.forget(problem, forget, unlearner.prepare(problem))
    after = result.problem
    assert isinstance(after, RecommenderProblem)
    rows = after.graph.forgotten_nodes
    assert len(rows) == 1
    assert not after.params["table"][rows].any()
    assert result.state is not None
    assert not result.state.payload.final[rows].any()


@pytest.mark.parametrize("accuracy", [0.2, 0.05])
def test_whom_the_model_learned_nothing_of_can_be_forgotten_without_a_move(accuracy: float) -> None:
    problem, (user,) = trained().problem, trained().user.users
    frame = problem.data.frame()
    pairs = tuple((user, item) for item in frame["item"][frame["user"] == user])
    unlearner = Reconverge(accuracy=accuracy)
    emptied = unlearner.forget(problem, ForgetSet(interactions=pairs), unlearner.prepare(problem))
    gone = unlearner.forget(emptied.problem, ForgetSet(users=(user,)), emptied.state, on_failure="raise")
    before, after = emptied.problem, gone.problem
    assert isinstance(before, RecommenderProblem) and isinstance(after, RecommenderProblem)
    assert user in before.data.users and user not in after.data.users
    assert torch.equal(after.params["table"], before.params["table"])
    if gone.state is not None and emptied.state is not None:
        assert gone.state.payload is emptied.state.payload
    # A row that is not zero counts among all pairs, so that all others felt it.
    felt = before.with_params({"table": torch.ones_like(before.params["table"])})
    assert unlearner.forget(felt, ForgetSet(users=(user,))).n_rows_changed == before.graph.n_nodes


def test_an_item_that_nobody_had_still_moves_those_it_competed_with() -> None:
    data = synthetic(n_users=30, n_items=20, n_interactions=200, seed=0)
    item = data.items.ids[0]
    problem = RecommenderProblem.build(data, model="mf", objective=Multinomial(), dim=4, dtype=torch.float64)
    problem = problem.without(ForgetSet(interactions=[(user, item) for user in data.users.ids])).fit()
    table = problem.params["table"].index_fill(0, torch.tensor([data.n_users]), 0.0)  # a score of 0 competes, too
    result = Reconverge().forget(problem.with_params({"table": table}), ForgetSet(items=(item,)))
    assert result.n_rows_changed > 1


def test_an_objective_without_a_closed_search_has_no_survey() -> None:
    problem = RecommenderProblem.build(synthetic(n_users=30, n_items=20, n_interactions=200, seed=0), model="mf", dim=4)
    assert problem.survey() is not None
    other = RecommenderProblem.build(problem.data, model="mf", objective=Multinomial(), dim=4)
    assert other.survey() is None
    forget = ForgetSet(users=(problem.data.users.ids[0],))
    local = other.without(forget).locality(other, forget, None, tail=0.01)
    assert torch.equal(local.start, flatten(other.without(forget).settled(forget)))
    local.landscape.start(local.start)
    params, survey = local.finish()
    assert survey is None
    assert torch.equal(params["table"], unflatten(local.start, other.params)["table"])


def test_a_model_that_is_no_numbers_has_no_survey_and_is_retrained_where_that_is_asked_for() -> None:
    data = synthetic(n_users=30, n_items=20, n_interactions=200, seed=0)
    problem = RecommenderProblem.build(data, dim=4)
    broken = problem.with_params({"table": problem.params["table"] * torch.nan})
    assert broken.survey() is None
    served = Reconverge().forget(broken, ForgetSet(users=(data.users.ids[0],)), on_failure="retrain")
    assert served.fallback and isinstance(served.problem, RecommenderProblem)
    assert served.problem.params["table"].isfinite().all()
