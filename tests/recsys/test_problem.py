"""RecommenderProblem: the contract's derivatives, weights and removals."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.data import Interactions, synthetic
from recsys.joint_graph import JointGraph
from recsys.models import MF
from recsys.objectives import BPR, Multinomial, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.recsys.derivatives import assert_derivatives_match
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.methods.reconverge import Reconverge

REQUESTS = [
    ForgetSet(users=["u02"]),
    ForgetSet(items=[103]),
    ForgetSet(users=["u01", "u07"], items=[110]),
]


def build(data: Interactions, objective: Objective, dim: int = 5, **options: float) -> RecommenderProblem:
    return RecommenderProblem.build(
        data,
        objective=objective,
        dim=dim,
        layers=2,
        dtype=torch.float64,
        options=TrainingOptions(**options),
    )


def test_model_and_objective_are_named_or_made_and_nothing_given_is_passed_over(data: Interactions) -> None:
    named = RecommenderProblem.build(data, model="mf", objective="bpr", dim=3)
    made = RecommenderProblem.build(data, model=MF(data.n_users, data.n_items, dim=3), objective=BPR())
    assert repr(named) == repr(made) and torch.equal(named.params["table"], made.params["table"])
    with pytest.raises(ValueError, match="sampled_softmax"):
        RecommenderProblem.build(data, objective="softmax")
    with pytest.raises(TypeError, match=r"given `dim`, `seed` \(got MF\(dim=3\)\)"):
        RecommenderProblem.build(data, model=made.model, dim=64, seed=1)


def test_it_is_told_in_a_line_and_copied_with_all_that_it_forgot(data: Interactions) -> None:
    result = Reconverge(accuracy=0.05).forget(build(data, WholeData(l2=0.3)).fit(), REQUESTS[2])
    assert isinstance(result.problem, RecommenderProblem)
    told = f"RecommenderProblem(LightGCN(dim=5, layers=2), WholeData(l2=0.3, a=0.05), {result.problem.data!r})"
    assert repr(result.problem) == told
    assert told in repr(result) and "ForgetSet(2 users, 1 items)" in repr(result) and "tensor" not in repr(result)
    for again in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert again.problem.params["table"].data_ptr() != result.problem.params["table"].data_ptr()
        once, more = (Reconverge().forget(one.problem, REQUESTS[0], one.state).problem for one in (result, again))
        assert torch.equal(once.params["table"], more.params["table"])


def test_other_options_start_elsewhere_and_draw_other_negatives(data: Interactions) -> None:
    problem, three = build(data, BPR(negatives=2, seed=5), epochs=1), TrainingOptions(seed=3, epochs=1)
    again = problem.fit(options=three)
    assert again.options.seed == 3 and again.objective_function == BPR(negatives=2, seed=8)
    start = build(data, BPR(negatives=2, seed=8), seed=3, epochs=1)
    assert torch.equal(again.params["table"], start.fit().params["table"])
    assert not torch.equal(again.params["table"], problem.fit().params["table"])


def test_a_shortened_training_has_an_epoch_at_least_and_keeps_nothing(data: Interactions) -> None:
    options = TrainingOptions(epochs=8, lr=0.01, keep=frozenset({"checkpoints"}))
    problem = RecommenderProblem.build(data, objective=BPR(), dim=3, options=options)
    half, hardly = problem.shortened(0.5, 0.2), problem.shortened(0.01, 1.0)
    assert half == replace(problem.options, epochs=4, lr=0.002, keep=frozenset())
    assert hardly is not None and hardly.epochs == 1
    assert RecommenderProblem.build(data, dim=3).shortened(0.5, 0.2) is None


@pytest.mark.parametrize("objective", [WholeData(l2=0.3), Multinomial(), BPR(negatives=2)])
def test_gradient_and_hessian_product_match_finite_differences(objective: Objective, data: Interactions) -> None:
    assert_derivatives_match(build(data, objective))


@pytest.mark.parametrize("objective", [WholeData(l2=0.3), Multinomial()])
@pytest.mark.parametrize("unit", ["interaction", "user", "item"])
def test_weights_are_differentiable_and_zero_means_removed(objective: Objective, unit: str, data: Interactions) -> None:
    problem = build(data, objective)
    size = {"interaction": len(data), "user": data.n_users, "item": data.n_items}[unit]
    weights = torch.rand(size, dtype=torch.float64).clamp_min(0.2).requires_grad_()
    value = problem.weighted(unit, weights).objective(problem.params)
    (gradient,) = torch.autograd.grad(value, weights)
    probe = 2
    step = torch.zeros(size, dtype=torch.float64)
    step[probe] = 1e-6
    with torch.no_grad():
        ahead, behind = (
            float(problem.weighted(unit, weights + sign * step).objective(problem.params)) for sign in (1, -1)
        )
    assert float(gradient[probe]) == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)

    removed = torch.ones(size, dtype=torch.float64)
    removed[probe] = 0.0
    rows, cols = int(problem.graph.rows[probe]), int(problem.graph.cols[probe])
    request = {
        "user": ForgetSet(users=data.users.take([probe])),
        "item": ForgetSet(items=data.items.take([probe])),
        "interaction": ForgetSet(interactions=[(data.users.take([rows])[0], data.items.take([cols])[0])]),
    }[unit]
    faded = problem.weighted(unit, removed)
    remaining = problem.without(request)
    if isinstance(objective, WholeData):  # its background is of all pairs, whoever is still there
        torch.testing.assert_close(faded.objective(problem.params), remaining.objective(problem.params), **EXACT64)
    for one, other in zip(faded.readout(), remaining.readout(), strict=True):
        torch.testing.assert_close(one, other, **EXACT64)


@pytest.mark.parametrize("model", ["lightgcn", "social_lightgcn"])
def test_weights_multiply_and_whoever_remains_keeps_them(model: str) -> None:
    """To weigh and to forget are the same in either order, and so are two weights and their product."""
    data = synthetic(10, 12, 45, ties_per_user=2.0, seed=4)
    problem = RecommenderProblem.build(data, model=model, objective=WholeData(l2=0.3), dim=4, dtype=torch.float64)
    users, items = (0.2 + 0.8 * torch.rand(n, dtype=torch.float64) for n in (data.n_users, data.n_items))

    def weighed(one: RecommenderProblem) -> RecommenderProblem:
        return one.weighted("user", users).weighted("item", items)

    found = weighed(problem)
    rows, columns = problem.graph.rows, problem.graph.cols
    product = problem.weighted("interaction", users[rows] * items[columns])
    if isinstance(problem.graph, JointGraph):
        ends = problem.graph.ends
        product = product.weighted("tie", users[ends[:, 0]].sqrt() * users[ends[:, 1]])
        product = product.weighted("tie", users[ends[:, 0]].sqrt())
    pair = (data.users.ids[4], data.items.ids[int(data.indices[data.indptr[4]])])
    forget = ForgetSet(users=(data.users.ids[2],), items=(data.items.ids[5],), interactions=(pair,))
    if model == "social_lightgcn":
        forget |= problem.units("tie").forget_set(np.arange(2))
    for one, other in ((found, product), (found.without(forget), weighed(problem.without(forget)))):
        torch.testing.assert_close(one.objective(one.params), other.objective(other.params), **EXACT64)
        for mine, theirs in zip(one.readout(), other.readout(), strict=True):
            torch.testing.assert_close(mine, theirs, **EXACT64)
    left = problem.without(forget)
    assert float(left.objective(left.params)) > 1.2 * float(found.without(forget).objective(left.params))


@pytest.mark.parametrize("request_", REQUESTS)
def test_without_rebuilds_data_and_graph_and_keeps_rows(request_: ForgetSet, data: Interactions) -> None:
    problem = build(data, WholeData())
    remaining = problem.without(request_)
    assert remaining.graph.n_nodes == problem.graph.n_nodes
    assert remaining.n_records == problem.n_records - problem.records(request_).numel() < problem.n_records
    assert torch.equal(remaining.params["table"], problem.params["table"])
    assert not torch.equal(remaining.readout()[0], problem.readout()[0])


@pytest.mark.parametrize("request_", REQUESTS)
def test_touched_rows_are_the_hops_of_the_graph(request_: ForgetSet, data: Interactions) -> None:
    problem = build(data, WholeData())
    layers = problem.touched(request_, hops=2)["table"]
    adjacency = problem.graph.normalized.to_dense() > 0
    reached = torch.zeros(problem.graph.n_nodes, dtype=torch.bool)
    for e in problem.records(request_).tolist():
        reached[problem.graph.rows[e]] = reached[problem.graph.cols[e] + data.n_users] = True
    assert set(layers[0].tolist()) == set(reached.nonzero().flatten().tolist())
    for layer in layers[1:]:
        nearby = adjacency[reached].any(0) & ~reached
        assert set(layer.tolist()) == set(nearby.nonzero().flatten().tolist())
        reached |= nearby


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("model", ["mf", "lightgcn"])
def test_reconverge_to_tolerance_equals_a_cold_retrain_from_another_seed(
    request_: ForgetSet, model: str, data: Interactions
) -> None:
    options = TrainingOptions(tolerance=1e-10, max_iterations=5000)
    objective = WholeData(l2=0.3, a=0.2)
    problem = RecommenderProblem.build(
        data, model=model, objective=objective, dim=20, options=options, dtype=torch.float64
    ).fit()
    result = Reconverge(accuracy=0.0, max_iterations=3000).forget(problem, request_)
    cold = problem.without(request_).fit(options=TrainingOptions(tolerance=1e-10, max_iterations=5000, seed=9))

    def scores(p: RecommenderProblem) -> torch.Tensor:
        users, items = p.readout()
        return users @ items.T

    after = result.problem
    assert isinstance(after, RecommenderProblem)
    effect = (scores(problem) - scores(cold)).norm()
    assert effect > 0.05 * scores(cold).norm()
    assert (scores(after) - scores(cold)).norm() < 1e-5 * effect
    assert result.residual_ratio < 1e-4
    for user in data.users.rows(request_.users):
        assert after.params["table"][user].abs().max() < 1e-8


def test_a_few_iterations_come_most_of_the_way(data: Interactions) -> None:
    options = TrainingOptions(tolerance=1e-10, max_iterations=5000)
    problem = RecommenderProblem.build(
        data, objective=WholeData(l2=0.3, a=0.2), dim=20, options=options, dtype=torch.float64
    ).fit()
    request = ForgetSet(users=["u02"])
    reference = Reconverge(accuracy=0.0, max_iterations=3000).forget(problem, request).problem
    remaining = [row for row in range(data.n_users) if row != data.users.rows(["u02"])[0]]

    def scores(p: object) -> torch.Tensor:
        assert isinstance(p, RecommenderProblem)
        users, items = p.readout()
        return users[remaining] @ items.T

    gap = (scores(Reconverge().forget(problem, request).problem) - scores(reference)).norm()
    dropped = (scores(problem.without(request)) - scores(reference)).norm()
    assert gap < 0.5 * dropped
