"""The deletion operator: its losses by enumeration, where it acts, how requests compose, and what it is known for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.data import Interactions
from recsys.methods.gnn_delete import GNNDelete, Properties
from recsys.objectives import WholeData
from recsys.objectives.negatives import uniform_negatives
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import ridge, tiny_data, tiny_recommender
from unlearn.forget import ForgetSet
from unlearn.methods import MissingRequirement, Unlearner, method


@pytest.fixture(scope="module")
def problem() -> RecommenderProblem:
    return tiny_recommender().fit()


@pytest.fixture(scope="module")
def factorised() -> RecommenderProblem:
    options = TrainingOptions(seed=1, tolerance=1e-8, max_iterations=60)
    objective = WholeData(a=0.1, l2=1.0)
    return RecommenderProblem.build(
        tiny_data(), model="mf", objective=objective, options=options, dtype=torch.float64, dim=6
    ).fit()


def pairs(data: Interactions, positions: list[int]) -> ForgetSet:
    """The interactions at these positions."""
    rows, columns = data.user_rows()[positions], data.indices[positions]
    return ForgetSet(interactions=tuple(zip(data.users.take(rows), data.items.take(columns), strict=True)))


def everything(data: Interactions) -> ForgetSet:
    """A user, an item and some single interactions."""
    return ForgetSet(users=(data.users.ids[4],), items=(data.items.ids[7],)) | pairs(data, [0, 1, 120])


def test_the_losses_are_those_of_all_pairs_one_by_one(problem: RecommenderProblem) -> None:
    forget = everything(problem.data)
    remaining = problem.without(forget)
    old_users, old_items = problem.readout()
    generator = torch.Generator().manual_seed(0)
    users = old_users + 0.3 * torch.randn(old_users.shape, dtype=torch.float64, generator=generator)
    items = old_items + 0.3 * torch.randn(old_items.shape, dtype=torch.float64, generator=generator)
    found = Properties.of(problem, remaining, forget, negatives=3, seed=5).losses(users, items)

    records = problem.records(forget)
    drawn = uniform_negatives(problem.graph, records, 3, seed=5, epoch=0)
    deleted: set[tuple[int, int]] = set()
    consistency = influence = 0.0
    for record, against in zip(records.tolist(), drawn.tolist(), strict=True):
        u, i = int(problem.graph.rows[record]), int(problem.graph.cols[record])
        deleted.add((u, i))
        target = sum(float(old_users[u] @ old_items[j]) for j in against) / 3
        left = users[u] if remaining.data.users.alive[u] else old_users[u]
        right = items[i] if remaining.data.items.alive[i] else old_items[i]
        consistency += (float(left @ right) - target) ** 2 / len(records)
    struck = {u for u, _ in deleted}, {i for _, i in deleted}
    ends = zip(remaining.graph.rows.tolist(), remaining.graph.cols.tolist(), strict=True)
    others = sum(u in struck[0] or i in struck[1] for u, i in ends)
    for u in range(problem.data.n_users):
        for i in range(problem.data.n_items):
            if (u, i) not in deleted and remaining.data.users.alive[u] and remaining.data.items.alive[i]:
                influence += float(users[u] @ items[i] - old_users[u] @ old_items[i]) ** 2 / others
    assert [float(value) for value in found] == pytest.approx([consistency, influence], rel=1e-10)


def test_without_weight_on_the_deleted_nothing_moves_where_no_graph_changes(factorised: RecommenderProblem) -> None:
    forget = everything(factorised.data)
    after = GNNDelete(weight=0.0).forget(factorised, forget).problem
    expected = factorised.without(forget).settled(forget)
    torch.testing.assert_close(after.params["table"], expected["table"], rtol=0, atol=1e-9)


def test_with_all_weight_on_one_deleted_pair_it_scores_as_it_is_to(factorised: RecommenderProblem) -> None:
    forget = pairs(factorised.data, [17])
    unlearner = GNNDelete(weight=1.0, hops=0, steps=400)
    after = unlearner.forget(factorised, forget).problem
    properties = Properties.of(factorised, after, forget, negatives=unlearner.negatives, seed=unlearner.seed)
    (before,), (now,) = (
        model.outputs(torch.stack([properties.rows, properties.columns], dim=1)) for model in (factorised, after)
    )
    assert abs(float(before - properties.targets)) > 0.1
    assert float(now) == pytest.approx(float(properties.targets), abs=1e-3)


@pytest.mark.parametrize("hops", [0, 1])
def test_only_rows_within_the_hops_move(problem: RecommenderProblem, hops: int) -> None:
    forget = pairs(problem.data, [3])
    reached = torch.cat(problem.touched(forget, hops=hops)["table"])
    assert 0 < len(reached) < problem.graph.n_nodes
    changed = GNNDelete(hops=hops, steps=5).forget(problem, forget).rows_changed["table"]
    assert sorted(changed.nonzero().squeeze(1).tolist()) == sorted(reached.tolist())


def operator(before: Tensor, after: Tensor) -> Tensor:
    """The matrix W with before W = after, which must exist; more rows than columns make that a statement."""
    assert before.shape[0] > before.shape[1]
    found = torch.linalg.lstsq(before, after).solution
    torch.testing.assert_close(before @ found, after, rtol=0, atol=1e-10)
    return found


def test_requests_compose_as_products_of_their_operators(problem: RecommenderProblem) -> None:
    """Rows that meet two operators carry the product of both, in order; none is kept."""
    requests = pairs(problem.data, [3, 40, 77, 111, 150]), pairs(problem.data, [7, 44, 90, 190, 260])
    unlearner = GNNDelete(steps=20)
    first = unlearner.forget(problem, requests[0]).problem
    second = unlearner.forget(first, requests[1]).problem
    assert list(second.params) == ["table"]
    tables = [model.params["table"] for model in (problem, first, second)]
    rings = problem.touched(requests[0], hops=1)["table"], first.touched(requests[1], hops=1)["table"]
    operators = [[operator(tables[k][rows], tables[k + 1][rows]) for rows in rings[k]] for k in range(2)]
    met = rings[0][1][torch.isin(rings[0][1], rings[1][1])]
    assert len(met) > 6
    torch.testing.assert_close(tables[0][met] @ operators[0][1] @ operators[1][1], tables[2][met], rtol=0, atol=1e-9)
    assert not torch.allclose(operators[1][1] @ operators[0][1], operators[0][1] @ operators[1][1], atol=1e-4)


@pytest.fixture(scope="module")
def fitted() -> RecommenderProblem:
    """A model that tells what it was trained on from what it was not."""
    options = TrainingOptions(seed=1, tolerance=1e-5, max_iterations=100)
    objective = WholeData(a=0.1, l2=0.1)
    return RecommenderProblem.build(tiny_data(150, 150, 1500), objective=objective, options=options, dim=32).fit()


def test_deleted_pairs_score_like_unconnected_ones_while_others_stay(fitted: RecommenderProblem) -> None:
    """What the paper reports, against dropping the edges alone and against no weight on the deleted."""
    forget = pairs(fitted.data, list(range(0, 1500, 130)))
    graph, records = fitted.graph, fitted.records(forget)
    unconnected = uniform_negatives(graph, records, 20, seed=3, epoch=7)  # others than it was trained with
    kept = torch.isin(graph.rows, graph.rows[records])
    kept[records] = False

    def means(unlearner: Unlearner) -> tuple[float, float, float]:
        """Mean scores of the deleted pairs, and of unconnected and remaining pairs of the same users."""
        users, items = unlearner.forget(fitted, forget).problem.readout()
        deleted = (users[graph.rows[records]] * items[graph.cols[records]]).sum(1)
        others = (users[graph.rows[records]][:, None] * items[unconnected]).sum(2)
        connected = (users[graph.rows[kept]] * items[graph.cols[kept]]).sum(1)
        return float(deleted.mean()), float(others.mean()), float(connected.mean())

    found = {name: means(one) for name, one in UNLEARNERS.items()}
    # 0 is an unconnected pair, 1 a remaining one.
    place = {name: (deleted - others) / (connected - others) for name, (deleted, others, connected) in found.items()}
    assert place["operator"] < 0.15
    assert place["graph_drop"] > 0.6
    assert place["no weight on the deleted"] > 0.9
    assert found["operator"][1:] == pytest.approx(found["graph_drop"][1:], rel=0.05)


UNLEARNERS = {
    "operator": GNNDelete(),
    "graph_drop": method("graph_drop"),
    "no weight on the deleted": GNNDelete(weight=0.0),
}


def test_what_a_forgotten_user_liked_no_longer_answers_to_them(fitted: RecommenderProblem) -> None:
    data = fitted.data
    forget = ForgetSet(users=(data.users.ids[4],))
    user = fitted.readout()[0][4]
    liked = torch.from_numpy(data.indices[data.indptr[4] : data.indptr[5]])
    dropped, operated = (
        float((one.forget(fitted, forget).problem.readout()[1][liked] @ user).mean())
        for one in (method("row_drop"), GNNDelete())
    )
    assert operated < 0.5 * dropped


def test_what_the_cut_of_ties_changes_is_not_taken_back() -> None:
    built = RecommenderProblem.build(
        tiny_data(), model="social_lightgcn", objective=WholeData(l2=0.5), dtype=torch.float64, dim=6
    ).fit(options=TrainingOptions(max_iterations=30))
    data = built.data
    ids = all_ties(data)[::3]
    ties = built.resolve(ForgetSet(ties=(*ids, *((v, u) for u, v in ids))), unknown="skip")
    after, cut = GNNDelete(steps=20).forget(built, ties).problem, built.without(ties)
    assert isinstance(after, RecommenderProblem)
    assert torch.equal(after.params["table"], built.params["table"])
    assert torch.equal(after.readout()[0], cut.readout()[0])
    # Beside interactions, too, and those of a user who goes: neighbourhoods are to stay as the cut has left them.
    more = ties | pairs(data, [0, 1, 120])
    found = Properties.of(built, built.without(more), more, negatives=3, seed=5)
    for table, expected in zip((found.users, found.items), cut.readout(), strict=True):
        torch.testing.assert_close(table, expected, rtol=1e-12, atol=1e-14)
    user = ForgetSet(users=(ids[0][0],))
    own = tuple(tie for tie in all_ties(data) if ids[0][0] in tie)
    found = Properties.of(built, built.without(user), user, negatives=3, seed=5)
    torch.testing.assert_close(found.users, built.without(ForgetSet(ties=own)).readout()[0], rtol=1e-12, atol=1e-14)
    assert own and not torch.equal(found.users, built.readout()[0])


def all_ties(data: Interactions) -> list[tuple[Any, Any]]:
    assert data.ties is not None
    return [tuple(data.users.take(ends)) for ends in data.ties.tolist()]


def test_arguments_are_checked_together_and_models_before_work() -> None:
    with pytest.raises(ValueError, match="weight") as raised:
        GNNDelete(weight=1.5, hops=-1, steps=0, lr=0.0, negatives=0)
    for name in ("weight", "hops", "steps", "lr", "negatives"):
        assert f"`{name}` must be" in str(raised.value)
    with pytest.raises(MissingRequirement, match="works on a RecommenderProblem"):
        GNNDelete().forget(ridge(), ForgetSet(records=(0,)))


def test_the_operator_depends_on_its_seed_alone(problem: RecommenderProblem) -> None:
    forget = pairs(problem.data, [3, 40])
    tables = [
        replace(GNNDelete(steps=3), seed=seed).forget(problem, forget).problem.params["table"] for seed in (0, 0, 1)
    ]
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])
