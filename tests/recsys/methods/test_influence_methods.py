"""Influence methods that see the graph: their terms by hand, their equations by explicit matrices, and retraining."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.joint_graph import JointGraph
from recsys.methods import IFRU, SCIF
from recsys.methods.ifru import importance, influential
from recsys.methods.scif import mean_labels
from recsys.objectives import BPR, RelMF, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import tiny_data
from unlearn.curvature import gauge_projection, hessian_operator
from unlearn.forget import ForgetSet
from unlearn.methods import GIF, GraphDrop, GroupInfluence, Influence, MissingRequirement, Unlearner
from unlearn.methods.second_order import removed_gradient
from unlearn.params import flatten

SHARP: dict[str, Any] = {"damping": 5.0, "tolerance": 1e-12, "max_products": 3000}


@functools.cache
def trained(model: str, dim: int = 4) -> RecommenderProblem:
    options = TrainingOptions(seed=1, tolerance=1e-9, max_iterations=3000)
    objective = WholeData(a=0.1, l2=0.5)
    built = RecommenderProblem.build(
        tiny_data(), model=model, objective=objective, options=options, dtype=torch.float64, dim=dim
    )
    return built.fit()


def pairs(problem: RecommenderProblem, *rows: int) -> ForgetSet:
    return ForgetSet(interactions=tuple((r.user, r.item) for r in problem.data.frame().iloc[list(rows)].itertuples()))


def requests(problem: RecommenderProblem) -> dict[str, ForgetSet]:
    return {
        "pair": pairs(problem, 90),
        "pairs": pairs(problem, *range(0, 300, 20)),
        "user": ForgetSet(users=(problem.data.users.ids[3],)),
        "segment": ForgetSet(users=tuple(problem.data.users.ids[:6])),
    }


def moved(unlearner: Unlearner, problem: RecommenderProblem, forget: ForgetSet) -> RecommenderProblem:
    result = unlearner.forget(problem, forget).problem
    assert isinstance(result, RecommenderProblem)
    return result


def step(unlearner: Unlearner, problem: RecommenderProblem, forget: ForgetSet) -> Tensor:
    return flatten(moved(unlearner, problem, forget).params) - flatten(problem.params)


@functools.cache
def reference(model: str, name: str) -> Tensor:
    problem = trained(model)
    remaining = problem.without(requests(problem)[name])
    return scores(remaining.fit(remaining.settled(requests(problem)[name])))


def scores(problem: RecommenderProblem) -> Tensor:
    users, items = problem.readout()
    return users @ items.T


def gap(unlearner: Unlearner, name: str, model: str = "lightgcn") -> float:
    problem, truth = trained(model), reference(model, name)
    forget = requests(problem)[name]
    rows = torch.tensor(problem.without(forget).data.users.alive)
    found = scores(moved(unlearner, problem, forget))
    return float((found - truth)[rows].norm() / (scores(problem) - truth)[rows].norm())


# ---- GIF -------------------------------------------------------------------------------------------------------------


def test_what_leaves_is_the_records_and_the_difference_that_the_graph_makes() -> None:
    """The two sums of the paper, over the affected remaining pairs and over the unobserved ones, written out."""
    problem = trained("lightgcn")
    forget = requests(problem)["pairs"]
    remaining, gone = problem.without(forget), problem.records(forget)
    left = torch.tensor([k for k in range(300) if k not in set(gone.tolist())])
    leaf = problem.params["table"].clone().requires_grad_()
    total = leaf.new_zeros(())
    for one, kept, records in ((problem, 1.0, left), (remaining, -1.0, torch.arange(len(left)))):
        users, items = one.embed({"table": leaf})
        y = (users[one.graph.rows[records]] * items[one.graph.cols[records]]).sum(1)
        observed = ((1 - y).square() - 0.1 * y.square()).sum()
        total = total + kept * (observed + 0.1 * (users @ items.T).square().sum())
    users, items = problem.embed({"table": leaf})
    y = (users[problem.graph.rows[gone]] * items[problem.graph.cols[gone]]).sum(1)
    total = total + ((1 - y).square() - 0.1 * y.square()).sum()
    (expected,) = torch.autograd.grad(total, leaf)
    torch.testing.assert_close(removed_gradient(problem, remaining, forget), expected.reshape(-1), **EXACT64)


def test_gif_solves_its_equation() -> None:
    problem = trained("lightgcn")
    forget = requests(problem)["pairs"]
    project = gauge_projection(problem)
    assert project is not None
    b = removed_gradient(problem, problem.without(forget), forget)
    identity = torch.eye(len(b), dtype=b.dtype)
    projection = torch.stack([project(row) for row in identity], 1)
    inner = projection @ (hessian_operator(problem).matrix() + 5.0 * identity) @ projection
    expected = torch.linalg.solve(inner + identity - projection, projection @ b)
    torch.testing.assert_close(step(GIF(**SHARP), problem, forget), expected, rtol=1e-7, atol=1e-9)
    lissa = GIF(solver="lissa", damping=5.0, tolerance=1e-8, max_products=5000)
    torch.testing.assert_close(step(lissa, problem, forget), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["pair", "pairs", "user"])
def test_the_graph_term_is_what_brings_it_near_the_retrained_model(name: str) -> None:
    """The paper's finding: without it the influence function is worse than dropping the edges."""
    ours, plain, dropped = (gap(one, name) for one in (GIF(), Influence(form="published"), GraphDrop()))
    assert ours < 0.6 * dropped
    assert ours < 0.6 * plain


def test_without_messages_there_is_no_graph_term() -> None:
    problem = trained("mf")
    forget = requests(problem)["pairs"]
    ours, plain = (step(one, problem, forget) for one in (GIF(**SHARP), Influence(form="published", **SHARP)))
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-8)


def test_a_segments_own_curvature_leads_to_the_step_on_what_remains() -> None:
    problem = trained("lightgcn")
    forget = requests(problem)["segment"]
    exact = step(Influence(**SHARP), problem, forget)
    errors = [
        float((step(GroupInfluence(order=order, **SHARP), problem, forget) - exact).norm() / exact.norm())
        for order in (1, 2, 4, 16)
    ]
    assert errors[3] < 0.02
    assert errors[3] < errors[2] < errors[1] < errors[0]
    assert gap(GroupInfluence(), "segment") < 0.6 * gap(GraphDrop(), "segment")
    assert gap(GroupInfluence(), "pairs") < 0.8 * gap(GIF(), "pairs")


def test_negatives_are_the_same_with_and_without_the_forgotten() -> None:
    """Fresh ones would make noise of what nobody's deletion touches: here everything beyond the deleted pair."""
    built = RecommenderProblem.build(tiny_data(), model="mf", objective=BPR(), dtype=torch.float64, dim=4)
    forget = requests(built)["pair"]
    found = removed_gradient(built, built.without(forget), forget).view(-1, 4)
    record = built.records(forget)
    touched = {int(built.graph.rows[record]), 40 + int(built.graph.cols[record])}
    nonzero = set(found.any(1).nonzero().flatten().tolist())
    assert touched <= nonzero
    assert len(nonzero) <= 4  # user, item, its negative, and a negative that now may be the deleted item


def test_what_training_left_undone_in_rows_that_go_is_not_asked_of_others() -> None:
    options = TrainingOptions(seed=1, max_iterations=3)
    problem = RecommenderProblem.build(tiny_data(), options=options, dtype=torch.float64, dim=4).fit()
    forget = requests(problem)["user"]
    assert bool(problem.value_and_gradient(problem.params)[1]["table"][3].abs().max() > 0.1)
    found = removed_gradient(problem, problem.without(forget), forget).view(-1, 4)
    assert not bool(found[3].any())
    assert bool(found[40:].any())


# ---- IFRU ------------------------------------------------------------------------------------------------------------


def test_importance_is_the_share_of_what_is_deleted_passed_on() -> None:
    problem = trained("lightgcn")
    forget = requests(problem)["pairs"]
    adjacency = torch.zeros(70, 70, dtype=torch.float64)
    for user, item in zip(problem.graph.rows.tolist(), problem.graph.cols.tolist(), strict=True):
        adjacency[user, 40 + item] = adjacency[40 + item, user] = 1.0
    degrees, expected = adjacency.sum(1), torch.zeros(70, dtype=torch.float64)
    for record in problem.records(forget).tolist():
        expected[problem.graph.rows[record]] += 1.0
        expected[40 + problem.graph.cols[record]] += 1.0
    expected /= degrees + 1.0
    torch.testing.assert_close(importance(problem, forget, 0), expected, **EXACT64)
    for hops in (1, 2):
        expected = (expected + adjacency @ expected) / (degrees + 1.0)
        torch.testing.assert_close(importance(problem, forget, hops), expected, **EXACT64)


def test_ties_are_edges_where_the_model_uses_them() -> None:
    """Of a request of ties alone, too, which was left as it was: none of its rows had an importance."""
    problem = trained("social_lightgcn")
    user, ties = ForgetSet(users=(problem.data.users.ids[3],)), problem.units("tie").forget_set(np.arange(4))
    adjacency = torch.zeros(70, 70, dtype=torch.float64)
    remaining = problem.without(ties)
    left = torch.zeros_like(adjacency)
    for matrix, graph in ((adjacency, problem.graph), (left, remaining.graph)):
        assert isinstance(graph, JointGraph)
        for one, other in [*graph.ends.tolist(), *zip(graph.rows.tolist(), (graph.cols + 40).tolist(), strict=True)]:
            matrix[one, other] = matrix[other, one] = 1.0
    listens = 1.0 + adjacency.sum(1)
    expected = (adjacency - left).sum(1) / listens
    torch.testing.assert_close(importance(problem, ties, 0), expected, **EXACT64)
    torch.testing.assert_close(importance(problem, ties, 1), (expected + adjacency @ expected) / listens, **EXACT64)
    truth = remaining.fit(problem.params)
    dropped, solved = (
        (scores(moved(one, problem, ties)) - scores(truth)).norm() for one in (GraphDrop(), IFRU(share=1.0, hops=4))
    )
    assert solved < 0.5 * dropped
    expected = adjacency[3].index_fill(0, torch.tensor(3), float(adjacency[3].sum())) / listens
    torch.testing.assert_close(importance(problem, user, 0), expected, **EXACT64)


def test_only_the_most_important_rows_are_solved_for() -> None:
    problem = trained("lightgcn")
    forget = requests(problem)["pair"]
    found = importance(problem, forget, 1)
    rows = influential(problem, forget, 1, 0.6)
    others = [row for row in range(70) if row not in set(rows.tolist()) and found[row] > 0]
    assert others
    assert float(found[others].max()) < float(found[rows].min())
    reached, border = len(rows) + len(others), found[rows].min()
    assert int((found > border).sum()) <= 0.6 * reached <= len(rows)  # ties at the border are kept
    mask = torch.zeros(70, 4, dtype=torch.bool)
    mask[rows] = True
    chosen = mask.reshape(-1)
    b = removed_gradient(problem, problem.without(forget), forget)
    block = hessian_operator(problem).matrix()[chosen][:, chosen] + 5.0 * torch.eye(4 * len(rows), dtype=b.dtype)
    expected = torch.zeros_like(b)
    expected[chosen] = torch.linalg.solve(block, b[chosen])
    torch.testing.assert_close(step(IFRU(**SHARP), problem, forget), expected, rtol=1e-7, atol=1e-9)


def test_pruning_costs_little_of_what_the_step_brings() -> None:
    everything, most, few = (gap(IFRU(share=share, hops=1), "pairs") for share in (1.0, 0.6, 0.1))
    assert everything < most < few < gap(GraphDrop(), "pairs")
    assert gap(IFRU(share=1.0, hops=6), "pairs") == pytest.approx(gap(GIF(), "pairs"), rel=0.02)


# ---- SCIF ------------------------------------------------------------------------------------------------------------


def test_labels_are_means_over_what_remains() -> None:
    problem = trained("mf")
    users, items = problem.graph.rows, problem.graph.cols
    single, user = requests(problem)["pair"], requests(problem)["user"]
    record = problem.records(single)
    left = int((users == users[record]).sum()) - 1
    assert mean_labels(problem, problem.without(single), record).item() == pytest.approx(left / 30)
    records = problem.records(user)
    of_items = [(int((items == items[record]).sum()) - 1) / 39 for record in records.tolist()]
    assert mean_labels(problem, problem.without(user), records).tolist() == pytest.approx(of_items)


@pytest.mark.parametrize("name", ["pair", "pairs"])
def test_scif_solves_for_new_labels_on_the_touched_rows(name: str) -> None:
    problem = trained("mf")
    forget = requests(problem)[name]
    records, remaining = problem.records(forget), problem.without(forget)
    labels = mean_labels(problem, remaining, records)
    rows = torch.cat([problem.graph.rows[records], 40 + problem.graph.cols[records]]).unique()
    mask = torch.zeros(70, 4, dtype=torch.bool)
    mask[rows] = True
    chosen = mask.reshape(-1)
    gradient = torch.zeros(70, 4, dtype=torch.float64)
    table = problem.params["table"]
    for record, label in zip(records.tolist(), labels.tolist(), strict=True):
        user, item = int(problem.graph.rows[record]), 40 + int(problem.graph.cols[record])
        slope = -2.0 * (1.0 - label)  # of (1 - y)^2 - (label - y)^2
        gradient[user] += slope * table[item]
        gradient[item] += slope * table[user]
    block = hessian_operator(problem).matrix()[chosen][:, chosen] + 5.0 * torch.eye(4 * len(rows), dtype=table.dtype)
    expected = torch.zeros(280, dtype=torch.float64)
    expected[chosen] = torch.linalg.solve(block, gradient.reshape(-1)[chosen])
    torch.testing.assert_close(step(SCIF(**SHARP), problem, forget), expected, rtol=1e-7, atol=1e-9)


def test_the_label_of_the_others_takes_less_from_them_than_the_opposite_one() -> None:
    """Collaborative: deleted pairs fall towards their users' mean, and the users' other scores go down less."""
    problem = trained("mf")
    forget = requests(problem)["pairs"]
    records = problem.records(forget)
    rows, cols = problem.graph.rows[records], problem.graph.cols[records]
    labels = mean_labels(problem, problem.without(forget), records)
    before, after = scores(problem), scores(moved(SCIF(), problem, forget))
    distance = (before[rows, cols] - labels).abs().mean()
    assert float((after[rows, cols] - labels).abs().mean()) < 0.7 * float(distance)
    # What leaves by the whole influence step is the pair itself, at its score and at its full weight.
    assert gap(SCIF(), "pairs", "mf") < gap(GraphDrop(), "pairs", "mf")


@pytest.mark.parametrize("objective", [BPR(), RelMF()])
def test_labels_need_a_loss_of_single_pairs(objective: Any) -> None:
    built = RecommenderProblem.build(tiny_data(), objective=objective, dim=4)
    with pytest.raises(MissingRequirement, match=f"`scif` needs the objective whole_data.*got {objective.name}"):
        SCIF().prepare(built)


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)`damping` must.*`share` must.*`hops` must"):
        IFRU(damping=0, share=0, hops=-1)
