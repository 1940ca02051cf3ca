"""Influence scores against closed forms, finite differences of weighted training, and leave-one-out retraining."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from recsys.attribution import pair_scores
from recsys.data import Interactions
from recsys.objectives import BPR, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import CONVERGED64
from tests.unlearn.toys import RIDGE_PENALTY, regression, ridge, tiny_data, tiny_surrogate
from unlearn.attribution import GradientDot, Influence, Removal, losses
from unlearn.curvature import adam_damping, ekfac, gauge_projection, hessian_operator
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.methods import MissingRequirement, method
from unlearn.params import Params
from unlearn.problem import Problem
from unlearn.solvers.operator import Operator

PAIRS = torch.tensor([[0, 3], [5, 1], [7, 8]])


def converged(model: str, data: Interactions | None = None, **arguments: int) -> RecommenderProblem:
    options = TrainingOptions(seed=1, tolerance=1e-7, max_iterations=1000)
    objective = WholeData(a=0.1, l2=1.0)
    return RecommenderProblem.build(
        data or tiny_data(), model=model, objective=objective, options=options, dtype=torch.float64, dim=6, **arguments
    ).fit()


def predictions(problem: Problem, params: Params) -> Tensor:
    return regression()[0][:4] @ params["weight"].squeeze(0)


def exact_ridge() -> tuple[Tensor, Tensor, Tensor]:
    """(inverse curvature, residuals, leave-one-out changes of the predictions [n, 4]), all in closed form."""
    x, y = regression()
    inverse = torch.linalg.inv(x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype))
    weight = inverse @ x.T @ y
    changes: list[Tensor] = []
    for k in range(len(x)):
        kept = torch.arange(len(x)) != k
        left = torch.linalg.inv(x[kept].T @ x[kept] + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype))
        changes.append(x[:4] @ (weight - left @ x[kept].T @ y[kept]))
    return inverse, y - x @ weight, torch.stack(changes)


def test_ridge_scores_times_leverage_are_leave_one_out() -> None:
    problem = ridge().fit()
    x, _ = regression()
    inverse, _, left_out = exact_ridge()
    found = Influence(tolerance=1e-12).fit(problem).scores(predictions)
    leverage = (x @ inverse * x).sum(1)
    torch.testing.assert_close(found.values / (1.0 - leverage)[:, None], left_out, rtol=1e-6, atol=1e-8)
    assert found.residuals is not None
    assert float(found.residuals.max()) < 1e-10


def test_a_record_keeps_its_own_loss_low() -> None:
    problem = ridge().fit()
    own = Influence(tolerance=1e-10).fit(problem).scores(losses(problem, torch.arange(40))).values.diagonal()
    x, _ = regression()
    inverse, residuals, _ = exact_ridge()
    torch.testing.assert_close(own, residuals.square() * (x @ inverse * x).sum(1), rtol=1e-6, atol=1e-8)
    assert bool((own > 0).all())


@pytest.mark.parametrize(("model", "arguments"), [("mf", {}), ("lightgcn", {"layers": 2})])
def test_scores_are_derivatives_of_weighted_training(model: str, arguments: dict[str, int]) -> None:
    problem = converged(model, **arguments)
    query = pair_scores(PAIRS)
    found = Influence(tolerance=1e-10, max_products=2000).fit(problem).scores(query)
    for record in (0, 17, 120):
        ends = [query(problem, problem.params)]
        for weight in (0.98, 0.96):
            weights = torch.ones(problem.n_records, dtype=torch.float64)
            weights[record] = weight
            moved = problem.weighted("interaction", weights).fit(problem.params)
            ends.append(query(moved, moved.params))
        slope = (3.0 * ends[0] - 4.0 * ends[1] + ends[2]) / 0.04  # one-sided, of second order
        torch.testing.assert_close(found.values[record], slope, rtol=2e-2, atol=5e-5)
        assert float(slope.abs().max()) > 1e-4


def test_the_influence_of_a_user_and_of_a_tie_is_the_derivative_of_weighted_training_too() -> None:
    problem, query = converged("social_lightgcn", layers=2), pair_scores(PAIRS)
    found, before = Influence(tolerance=1e-10, max_products=2000).fit(problem), query(problem, problem.params)
    every = found.scores(query)
    assert every.ties is not None and every.ties.shape == (problem.n_ties, 3)
    for unit, one in (("tie", 7), ("tie", 12), ("user", 3), ("user", 20)):
        ends = [before]
        for weight in (0.98, 0.96):
            weights = torch.ones(len(problem.units(unit)), dtype=torch.float64)
            weights[one] = weight
            moved = problem.weighted(unit, weights).fit(problem.params)
            ends.append(query(moved, moved.params))
        slope = (3.0 * ends[0] - 4.0 * ends[1] + ends[2]) / 0.04
        group = problem.units(unit).forget_set(np.array([one]))
        torch.testing.assert_close(found.scores(query, [group]).values[0], slope, rtol=1e-2, atol=1e-5)
        if unit == "tie":
            torch.testing.assert_close(every.ties[one], slope, rtol=1e-2, atol=1e-5)
        else:  # interactions alone miss it
            assert float((every.values[problem.records(group)].sum(0) - slope).abs().max()) > 20 * 1e-5


def test_ties_along_which_nothing_passes_have_no_influence() -> None:
    alone = RecommenderProblem.build(tiny_data(), model="mf", dim=4)
    tied = RecommenderProblem.build(tiny_data(), model="social_lightgcn", dim=4, layers=0)
    expected, found = (GradientDot().fit(problem).scores(pair_scores(PAIRS)) for problem in (alone, tied))
    torch.testing.assert_close(found.values, expected.values)
    assert found.ties is not None and found.ties.shape == (tied.n_ties, 3) and not found.ties.any()


def test_who_has_many_ties_and_one_interaction_leaves_as_retraining_says() -> None:
    data = tiny_data()
    assert data.ties is not None
    hub, friends = 9, np.arange(10, 34, 3)
    ties = np.unique(np.concatenate([data.ties, np.column_stack([np.full(len(friends), hub), friends])]), axis=0)
    others = np.flatnonzero(data.user_rows() != hub)
    one = np.flatnonzero(data.user_rows() == hub)[:1]
    problem = converged("social_lightgcn", replace(data.take(np.sort(np.append(others, one))), ties=ties), layers=2)
    query = pair_scores(torch.cartesian_prod(torch.from_numpy(friends), torch.arange(30))[::11])
    group = ForgetSet(users=tuple(data.users.take([hub])))
    truth = Removal(method("retrain")).fit(problem).scores(query, [group]).values
    found = Influence(tolerance=1e-8, max_products=2000).fit(problem)
    whole, every = found.scores(query, [group]).values, found.scores(query).values
    alone = every[problem.records(group)].sum(0, keepdim=True)
    assert float((whole - truth).norm()) < 0.5 * float((alone - truth).norm())
    assert spearmanr(whole[0], truth[0])[0] > 0.9 > 0.8 > spearmanr(alone[0], truth[0])[0]
    parts = [
        problem.units("tie").forget_set(problem.ties(group).numpy()),
        problem.units("interaction").forget_set(problem.records(group).numpy()),
    ]
    for attributor in (found, GradientDot().fit(problem)):
        together, of_ties, of_records = attributor.scores(query, [group, *parts]).values
        torch.testing.assert_close(together, of_ties + of_records)
        assert bool(of_ties.any()) and bool(of_records.any())


def test_influence_ranks_records_as_leave_one_out_retraining_does() -> None:
    problem = converged("mf", tiny_data(20, 15, 90))
    query = pair_scores(PAIRS[:1])
    user, item = PAIRS[0].tolist()
    rows, columns = problem.data.user_rows(), problem.data.item_rows()
    near = np.flatnonzero((rows == user) | (columns == item))
    far = np.setdiff1d(np.arange(problem.n_records), near)[::20]
    records = np.concatenate([near, far])
    named = [
        ForgetSet(interactions=((problem.data.users.take([rows[r]])[0], problem.data.items.take([columns[r]])[0]),))
        for r in records
    ]
    before = query(problem, problem.params)
    changes: list[float] = []
    for forget in named:
        after = problem.without(forget).fit(problem.params)
        changes.append(float(before - query(after, after.params)))
    found = Influence(tolerance=1e-8, max_products=2000).fit(problem)
    values = found.scores(query, torch.from_numpy(records)).values[:, 0]
    assert spearmanr(values, changes)[0] > 0.85
    assert np.sign(values[:5].numpy()).tolist() == np.sign(changes[:5]).tolist()
    one = Removal(method("retrain")).fit(problem).scores(query, named[:1]).values
    assert float(one) == pytest.approx(changes[0], rel=0.05, abs=1e-4)
    torch.testing.assert_close(found.scores(query, named).values[:, 0], values)  # groups of one


def test_the_second_order_of_a_group_is_nearer_to_retraining_than_the_sum_of_its_members() -> None:
    problem = ridge().fit()
    groups = [ForgetSet(records=tuple(range(start, start + 8))) for start in (0, 8, 16)]
    truth = Removal(method("retrain")).fit(problem).scores(predictions, groups).values
    first = Influence(tolerance=1e-10).fit(problem).scores(predictions, groups).values
    second = Removal(method("group_influence", damping=1e-9)).fit(problem).scores(predictions, groups).values
    every = Influence(tolerance=1e-10).fit(problem).scores(predictions).values
    torch.testing.assert_close(first[1], every[8:16].sum(0))
    assert float((second - truth).norm()) < 0.6 * float((first - truth).norm())


def test_a_group_that_there_is_nothing_to_say_of_is_refused() -> None:
    for attributor in (Influence(), GradientDot(), Removal(method("influence"))):
        with pytest.raises(UnknownIds, match="99"):
            attributor.fit(ridge().fit()).scores(predictions, [ForgetSet(records=(1, 99))])
    surrogate, everybody = tiny_surrogate().fit(), lambda of, params: of.record_losses(params)[:2]
    assert Influence(max_products=2).fit(surrogate).scores(everybody, torch.arange(3)).values.shape == (3, 2)
    with pytest.raises(ValueError, match="labels change with any group; take `Removal`"):
        Influence(max_products=2).fit(surrogate).scores(everybody, [ForgetSet(users=("p3",))])


def test_approximate_inverses_say_how_much_they_leave_out() -> None:
    problem = converged("mf")
    query = pair_scores(PAIRS)
    exact = Influence(tolerance=1e-8, max_products=2000).fit(problem).scores(query)
    rows = Influence(solver="rows").fit(problem).scores(query)
    fisher = Influence(solver="ekfac", damping=2.0).fit(problem).scores(query)
    assert exact.residuals is not None and rows.residuals is not None and fisher.residuals is not None
    assert float(exact.residuals.max()) < 1e-7
    assert 0.01 < float(rows.residuals.min()) < float(fisher.residuals.max())
    # Both are blind to what reaches the pair through others' rows, which the whole curvature is not.
    near = (problem.graph.rows[:, None] == PAIRS[:, 0]) | (problem.graph.cols[:, None] == PAIRS[:, 1])
    for found in (rows, fisher):
        assert torch.equal(found.values.ne(0), near)
    assert float(exact.values[~near].abs().max()) > 1e-4
    # One block that is everything is no approximation.
    whole = Influence(solver="rows").fit(ridge().fit()).scores(predictions)
    assert whole.residuals is not None
    assert float(whole.residuals.max()) < 1e-10


def test_the_damping_of_early_stopping_joins_every_curvature() -> None:
    options = TrainingOptions(epochs=6, batch_size=64, lr=0.02, keep=frozenset({"optimizer"}))
    problem = RecommenderProblem.build(
        tiny_data(), model="mf", objective=BPR(), options=options, dtype=torch.float64, dim=4
    ).fit()
    early, query = adam_damping(problem) + 0.02, pair_scores(PAIRS)
    leaves = {name: value.clone().requires_grad_() for name, value in problem.params.items()}
    b = torch.stack([torch.autograd.grad(q, leaves["table"], retain_graph=True)[0] for q in query(problem, leaves)])
    b = b.flatten(1).T
    whole = hessian_operator(problem).matrix() + early.diag()
    fisher = Operator(ekfac(problem).product, len(early)).matrix() + early.mean() * torch.eye(len(early))
    found = Influence(solver="ekfac", damping=0.02).fit(problem).scores(query).residuals
    expected = (b - whole @ torch.linalg.solve(fisher, b)).norm(dim=0) / b.norm(dim=0)
    torch.testing.assert_close(found, expected, **CONVERGED64)
    by_rows, _ = Influence(solver="rows", damping=0.02).fit(problem).inverse(b[:, 0])
    rows = torch.arange(len(early)).view(-1, 4)
    blocks = torch.stack([whole[row][:, row] for row in rows])
    torch.testing.assert_close(by_rows.view(-1, 4), torch.linalg.solve(blocks, b[:, 0].view(-1, 4)), **CONVERGED64)
    by_cg, _ = Influence(damping=4.02, tolerance=1e-11, max_products=3000).fit(problem).inverse(b[:, 0])
    project = gauge_projection(problem)
    assert project is not None
    inside = torch.stack([project(column) for column in torch.eye(len(early), dtype=torch.float64)], 1)
    curved = inside @ (whole + 4.0 * torch.eye(len(early))) @ inside
    assert float(torch.linalg.eigvalsh(curved)[0]) > -1e-9  # so the damping is not raised
    expected = torch.linalg.pinv(curved, rtol=1e-9, hermitian=True) @ b[:, 0]
    torch.testing.assert_close(by_cg, expected, **CONVERGED64)


def test_the_share_of_the_records_that_is_there_moves_the_point_of_the_linearisation() -> None:
    problem = ridge().fit()
    half = Influence(share=0.5, tolerance=1e-10).fit(problem).scores(predictions).values
    x, y = regression()
    inverse = torch.linalg.inv(0.5 * x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype))
    weight = inverse @ (0.5 * x.T @ y)
    expected = (y - x @ weight)[:, None] * (x @ inverse @ x[:4].T)
    torch.testing.assert_close(half, expected, rtol=1e-6, atol=1e-8)


def test_where_messages_pass_along_half_records_it_is_the_derivative_there() -> None:
    problem, query = converged("lightgcn", layers=2), pair_scores(PAIRS)
    found = Influence(share=0.5, tolerance=1e-10, max_products=2000).fit(problem).scores(query)
    half = torch.full((problem.n_records,), 0.5, dtype=torch.float64)
    start = problem.weighted("interaction", half).fit(problem.params).params
    for record in (0, 120):
        ends: list[Tensor] = []
        for weight in (0.52, 0.48):
            weights = half.clone()
            weights[record] = weight
            moved = problem.weighted("interaction", weights).fit(start)
            ends.append(query(moved, moved.params))
        torch.testing.assert_close(found.values[record], (ends[0] - ends[1]) / 0.04, rtol=1e-2, atol=2e-5)


def test_a_query_that_no_parameter_moves_is_solved_by_nothing() -> None:
    for solver in ("cg", "rows"):
        attributor = Influence(solver=solver).fit(ridge().fit())
        found = attributor.scores(lambda problem, params: 0.0 * params["weight"][0, :2])
        assert found.residuals is not None
        assert not found.values.any() and not found.residuals.any()


def test_nothing_is_changed_and_nothing_is_accepted_out_of_range() -> None:
    problem = ridge().fit()
    before = {name: value.clone() for name, value in problem.params.items()}
    Influence().fit(problem).scores(predictions)
    assert all(torch.equal(before[name], value) for name, value in problem.params.items())
    with pytest.raises(ValueError, match="(?s)`damping`.*`tolerance`.*`share`"):
        Influence(damping=-1.0, tolerance=0.0, share=0.0)
    with pytest.raises(ValueError, match="groups"):
        Removal(method("retrain")).fit(problem).scores(predictions)
    stopped = problem.with_params(problem.params, history=replace(problem.history, hooks=()))
    assert Influence().fit(stopped).scores(predictions, torch.arange(3)).values.shape == (3, 4)


def test_removal_compares_with_the_model_that_the_method_serves_with() -> None:
    problem, group = ridge().fit(), ForgetSet(records=(3, 9))
    replayed = method("delta_grad", steps=20, period=1)  # stops short of the minimum, and retraces that exactly
    found = Removal(replayed).fit(problem).scores(predictions, [ForgetSet(), group]).values
    served = replayed.subject(problem, replayed.prepare(problem))
    assert isinstance(served, Problem)
    again = served.without(group).fit()
    assert not found[0].any()
    torch.testing.assert_close(found[1], predictions(served, served.params) - predictions(again, again.params))


def test_removal_by_what_has_no_parameters_is_refused() -> None:
    options = TrainingOptions(seed=1, max_iterations=5)
    problem = RecommenderProblem.build(tiny_data(), options=options, dim=4).fit()
    with pytest.raises(MissingRequirement, match="`sharding` must serve with a model that has parameters"):
        Removal(method("sharding", shards=2)).fit(problem)
