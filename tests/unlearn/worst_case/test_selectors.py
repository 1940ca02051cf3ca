"""What each selector chooses, against its definition; budgets, strata, and the units that a problem names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.data import ratio, synthetic
from recsys.objectives import BPR, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import ridge, tiny_data
from unlearn.forget import ForgetSet
from unlearn.methods.base import MissingRequirement, method
from unlearn.params import flatten
from unlearn.units import Unit
from unlearn.worst_case import (
    Budget,
    Easiest,
    Hubs,
    MaxGap,
    MostMemorised,
    Opposing,
    Random,
    Selector,
    Upper,
    judged,
    selector,
    selectors,
    trial,
)
from unlearn.worst_case.asking import Asking
from unlearn.worst_case.held_out import folds
from unlearn.worst_case.opposing import gradient_sketch, pair_scores
from unlearn.worst_case.strata import activity, gradient_variance, memorised, popularity, shares, thirds

DTYPE = torch.float64


@pytest.fixture(scope="module")
def problem() -> RecommenderProblem:
    options = TrainingOptions(seed=1, tolerance=1e-8)
    return RecommenderProblem.build(
        tiny_data(30, 20, 200), objective=WholeData(a=0.1, l2=1.0), options=options, dtype=DTYPE, dim=8, layers=2
    ).fit()


@pytest.mark.parametrize("unit", ["user", "item", "interaction"])
def test_units_own_the_records_that_their_forget_set_removes(problem: RecommenderProblem, unit: Unit) -> None:
    gone = problem.without(ForgetSet(users=(problem.data.users.take([3])[0],)))
    for each in (problem, gone):
        units = each.units(unit)
        assert len(units.owners) == each.n_records
        rows = np.unique(units.owners)[[0, 4, 7]]
        owned = torch.from_numpy(np.isin(units.owners, rows)).nonzero().flatten()
        assert each.records(units.forget_set(rows)).equal(owned)
        weights = torch.ones(len(units), dtype=DTYPE)
        weights[rows] = 0.0  # and `weighted` means the same units
        faded = each.weighted(unit, weights).record_losses(each.params)
        assert (faded == 0).nonzero().flatten().equal(owned)
    with pytest.raises(ValueError, match='`unit` must be "user", "item" or "interaction"'):
        problem.units("tie")


def test_records_of_an_attached_module_keep_their_numbers() -> None:
    left = ridge().fit().without(ForgetSet(records=(0, 7)))
    assert left.units("record").forget_set(np.array([0, 5, 6])) == ForgetSet(records=(1, 6, 8))
    with pytest.raises(ValueError, match="of a kind that this problem counts"):
        left.units("user")


# ---- what is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["interaction", "user", "item"])
def test_forgotten_units_are_asked_as_a_model_without_them_answers(problem: RecommenderProblem, kind: Unit) -> None:
    """Single interactions by the scores of the remaining graph; of a user or item half is folded in first."""
    budget = Budget(kind, 4)
    room = budget.room(problem.units(kind))
    asking = Asking.of(problem, room, seed=3)
    rows = torch.tensor([1, 4, 9, 11])
    forget = room.forget_set(rows)
    after = method("retrain", coupled=True).forget(problem, forget).problem
    assert isinstance(after, RecommenderProblem)
    expected: list[float] = []
    place = room.place
    for row in rows.tolist():
        mine = (place == row) & asking.asked
        assert int(mine.sum()) == -(-int((place == row).sum()) // 2) if kind != "interaction" else mine.sum() == 1
        asked_everywhere = torch.isin(place, rows) & asking.asked
        pairs = tuple(pair for pair, one in zip(pairs_of(problem), asked_everywhere.tolist(), strict=True) if one)
        folded = problem.without(ForgetSet(interactions=pairs)).with_params(after.params)
        users, items = folded.readout()
        y = (users[problem.graph.rows[mine]] * items[problem.graph.cols[mine]]).sum(1)
        expected.append(float(((1 - y).square() - 0.1 * y.square()).mean()))
    torch.testing.assert_close(asking.losses(after.params, rows), torch.tensor(expected, dtype=DTYPE), **EXACT64)


def pairs_of(problem: RecommenderProblem) -> list[tuple[Any, Any]]:
    data = problem.data
    return list(zip(data.users.take(data.user_rows()), data.items.take(data.item_rows()), strict=True))


def test_a_weight_of_one_is_nearly_forgotten_and_of_zero_trained(problem: RecommenderProblem) -> None:
    room = Budget("user", 4).room(problem.units("user"))
    asking = Asking.of(problem, room, seed=0)
    nothing = asking.relaxed(problem.params, torch.zeros(len(room), dtype=DTYPE), degrees=True)
    torch.testing.assert_close(nothing, asking.trained(problem.params), **EXACT64)
    rows = torch.tensor([2, 5])
    w = torch.zeros(len(room), dtype=DTYPE).index_fill(0, rows, 1.0)
    nearly, gone = asking.relaxed(problem.params, w, degrees=True)[rows], asking.losses(problem.params, rows)
    torch.testing.assert_close(nearly, gone, rtol=0.02, atol=0.01)
    assert float((gone - nothing[rows]).abs().min()) > 0.05


# ---- the selectors --------------------------------------------------------------------------------------------------


def test_easiest_and_random(problem: RecommenderProblem) -> None:
    losses = problem.record_losses(problem.params)
    of_users = torch.stack([losses[problem.graph.rows == u].mean() for u in range(30)])
    found = Easiest().select(problem, "users:5")
    assert set(found.units.tolist()) == set(of_users.argsort()[:5].tolist())
    assert found.weights.nonzero().flatten().equal(found.units) and found.rounds == () and found.start is None
    draws = [Random().select(problem, "users:5", seed=seed).units for seed in range(40)]
    assert len({tuple(rows.tolist()) for rows in draws}) > 30
    assert len(torch.unique(torch.cat(draws))) == 30


def test_by_interactions_the_budget_is_filled_in_order(problem: RecommenderProblem) -> None:
    found = Easiest().select(problem, "users/interactions:15%")
    counts = torch.from_numpy(problem.units("user").counts)
    assert found.cost == float(counts[found.units].sum()) <= 30
    assert 30 - found.cost < counts[counts > 0].min()
    losses = problem.record_losses(problem.params)
    means = torch.stack([losses[problem.graph.rows == u].mean() for u in range(30)])
    others = torch.tensor([u for u in range(30) if u not in found.units.tolist()])
    assert float(means[found.units].mean()) < float(means[others].mean())


def test_most_memorised_by_leaving_each_out() -> None:
    """With as many folds as records it is leave one out, which for a ridge is a closed form."""
    fitted = ridge().fit()
    x, y = fitted.payload
    hat = x @ torch.linalg.solve(x.T @ x + 0.3 * torch.eye(5, dtype=DTYPE), x.T)
    error = x @ flatten(fitted.params) - y
    held_out = error / (1 - hat.diagonal())
    expected = 0.5 * (held_out.square() - error.square())
    room = Budget("record", 5).room(fitted.units("record"))
    torch.testing.assert_close(memorised(fitted, room, folds=40), expected, rtol=1e-6, atol=1e-8)
    found = MostMemorised(folds=40).select(fitted, "records:5").units
    assert set(found.tolist()) == set(expected.argsort(descending=True)[:5].tolist())
    parts = list(folds(40, 7, seed=1))
    assert torch.cat(parts).sort().values.equal(torch.arange(40)) and {len(part) for part in parts} == {5, 6}
    with pytest.raises(ValueError, match="`folds` must lie in"):
        next(folds(4, 5, seed=0))


def test_max_gap_of_a_method_that_does_nothing_is_the_memorisation() -> None:
    fitted = ridge().fit()
    room = Budget("record", 5).room(fitted.units("record"))
    scores = MaxGap(by="no_op", folds=8).scores(fitted, room, 0)
    torch.testing.assert_close(scores, memorised(fitted, room, folds=8), **EXACT64)
    exact = MaxGap(by="retrain", folds=8).scores(fitted, room, 0)
    assert float(exact.abs().max()) < 1e-6 < float(scores.abs().max())
    assert MaxGap(by="no_op").judged_by() == Upper("max_gap", "no_op", 5)


def test_opposing_pairs_cancel(problem: RecommenderProblem) -> None:
    fitted = ridge().fit()
    x, y = fitted.payload
    gradients = (x @ flatten(fitted.params) - y)[:, None] * x
    room = Budget("record", 6).room(fitted.units("record"))
    sketch = gradient_sketch(fitted, room, 1500, seed=0)
    torch.testing.assert_close(sketch @ sketch.T, gradients @ gradients.T, rtol=0.2, atol=1.0)
    found = Opposing(directions=1500).select(fitted, "records:6").units
    by_hand = pair_scores(gradients @ gradients.T).argsort(descending=True)[:6]
    assert set(found.tolist()) == set(by_hand.tolist())
    random = [Random().select(fitted, "records:6", seed=s).units for s in range(20)]

    def left(rows: Tensor) -> float:
        """The length of the summed gradient over the sum of lengths."""
        return float(gradients[rows].sum(0).norm() / gradients[rows].norm(dim=1).sum())

    assert left(found) < 0.5 * float(np.median([left(rows) for rows in random]))
    # Of users, gradients are summed over their interactions.
    of_users = gradient_sketch(problem, Budget("user", 3).room(problem.units("user")), 3, seed=1)
    of_records = gradient_sketch(problem, Budget("interaction", 3).room(problem.units("interaction")), 3, seed=1)
    summed = torch.zeros_like(of_users).index_add(0, problem.graph.rows, of_records)
    torch.testing.assert_close(of_users, summed, **EXACT64)


def test_pairs_are_matched_from_the_most_opposed_on() -> None:
    products = torch.tensor([[9, -5, -4, 1], [-5, 9, -8, -1], [-4, -8, 9, 2], [1, -1, 2, 9]], dtype=DTYPE)
    assert pair_scores(products.clone()).tolist() == [-torch.inf, 8, 8, -torch.inf]
    products[0, 3] = products[3, 0] = -0.5
    assert pair_scores(products).tolist() == [0.5, 8, 8, 0.5]


def test_hubs_are_those_of_networkx(problem: RecommenderProblem) -> None:
    graph = nx.Graph()
    graph.add_edges_from(
        (f"u{u}", f"i{i}") for u, i in zip(problem.graph.rows.tolist(), problem.graph.cols.tolist(), strict=True)
    )
    rank = nx.pagerank(graph, alpha=0.85, tol=1e-13, max_iter=1000)
    for kind, letter in (("user", "u"), ("item", "i")):
        room = Budget(kind, 3).room(problem.units(kind))
        expected = torch.tensor([rank[f"{letter}{row}"] for row in room.rows.tolist()], dtype=DTYPE)
        torch.testing.assert_close(Hubs().scores(problem, room, 0), expected, rtol=1e-9, atol=1e-10)
    room = Budget("interaction", 3).room(problem.units("interaction"))
    products = [
        rank[f"u{u}"] * rank[f"i{i}"]
        for u, i in zip(problem.graph.rows.tolist(), problem.graph.cols.tolist(), strict=True)
    ]
    torch.testing.assert_close(
        Hubs().scores(problem, room, 0), torch.tensor(products, dtype=DTYPE), rtol=1e-8, atol=1e-10
    )
    with pytest.raises(MissingRequirement, match="users and items"):
        Hubs().select(ridge().fit(), "records:3")


# ---- by name, and side by side --------------------------------------------------------------------------------------


def test_every_selector_by_name_keeps_the_budget_and_the_problem(problem: RecommenderProblem) -> None:
    assert selectors() == ["bilevel", "easiest", "hubs", "max_gap", "most_memorised", "opposing", "random"]
    before = {name: value.clone() for name, value in problem.params.items()}
    cheap: dict[str, dict[str, Any]] = {"bilevel": {"rounds": 2}}
    for name in selectors():
        one: Selector = selector(name, **cheap.get(name, {}))
        found = one.select(problem, "items:3", seed=4)
        assert found.forget.counts() | {"items": 3} == found.forget.counts() and found.selector == name
        assert problem.resolve(found.forget) == found.forget
        assert one.select(problem, "items:3", seed=4).forget == found.forget
    assert all(value.equal(before[name]) for name, value in problem.params.items())
    with pytest.raises(KeyError, match="there are bilevel, easiest"):
        selector("nothing")


def test_a_trial_judges_all_sets_alike(problem: RecommenderProblem) -> None:
    found = trial(problem, Easiest(), "interactions:8", seed=1)
    assert found.upper_objective == found.upper_objective_easiest < found.upper_objective_random
    assert found.overlap_with_easiest == 1.0
    judge = Upper().ready(problem, Budget("interaction", 8).room(problem.units("interaction")), seed=1)
    exact = method("retrain", coupled=True).forget(problem, found.random.forget).problem
    assert isinstance(exact, RecommenderProblem)
    value = float(judge.asking.losses(exact.params, found.random.units).mean())
    assert judged(judge, found.random.units) == pytest.approx(value, abs=2e-3)


def test_where_training_samples_sets_are_judged_by_a_retrain() -> None:
    options = TrainingOptions(seed=1, epochs=3, learning_rate=0.05)
    sampled = RecommenderProblem.build(
        tiny_data(30, 20, 200), model="mf", objective=BPR(), options=options, dim=4
    ).fit()
    judge = Upper().ready(sampled, Budget("interaction", 8).room(sampled.units("interaction")), seed=1)
    assert judge.unlearner == method("retrain", coupled=True)
    assert trial(sampled, Easiest(), "interactions:8").upper_objective > 0


# ---- budgets and strata ---------------------------------------------------------------------------------------------


def cases() -> Iterator[tuple[str, Budget, float]]:
    yield "users:10%", Budget("user", 0.1), 3
    yield "users:7", Budget("user", 7), 7
    yield "items:1%", Budget("item", 0.01), 1
    yield "interactions:5%", Budget("interaction", 0.05), 10
    yield "items/interactions:10%", Budget("item", 0.1, by_records=True), 20
    yield "users/interactions:12", Budget("user", 12, by_records=True), 12


@pytest.mark.parametrize(("text", "budget", "total"), list(cases()))
def test_budgets_as_they_are_written(problem: RecommenderProblem, text: str, budget: Budget, total: float) -> None:
    assert Budget.parse(text) == budget and str(budget) == text
    assert budget.room(problem.units(budget.unit)).total == total


@pytest.mark.parametrize("text", ["users", "users:", "users:0", "users:1.5", "users:100%", "user:3", "people:3", "x:%"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(ValueError, match="`budget` must be"):
        Budget.parse(text)


def test_a_budget_that_does_not_fit(problem: RecommenderProblem) -> None:
    for text, told in (("users:30", "must leave something"), ("items/interactions:1", "must have room for one item")):
        budget = Budget.parse(text)
        with pytest.raises(ValueError, match=told):
            budget.room(problem.units(budget.unit))
    with pytest.raises(ValueError, match="`amount` must be"):
        Budget("user", 1.5)


def test_strata(problem: RecommenderProblem) -> None:
    room = Budget("user", 3).room(problem.units("user"))
    users, items = problem.data.degrees()
    assert activity(room).tolist() == users[room.rows.numpy()].tolist()
    mean = [items[problem.data.item_rows()[problem.data.user_rows() == row]].mean() for row in room.rows.tolist()]
    torch.testing.assert_close(popularity(problem, room), torch.tensor(mean, dtype=DTYPE))
    assert thirds(torch.tensor([5.0, 1.0, 3.0, 2.0, 4.0, 6.0])).tolist() == [2, 0, 1, 0, 1, 2]
    assert thirds(torch.ones(4)).tolist() == [0, 0, 0, 0]
    strata = thirds(activity(room))
    active = activity(room).argsort(descending=True)[:5]
    assert shares(strata, active) == {"low": 0.0, "middle": 0.0, "high": 1.0}


def test_gradient_variance_over_checkpoints() -> None:
    options = TrainingOptions(seed=1, epochs=6, learning_rate=0.05, keep=frozenset({"checkpoints"}), checkpoint_every=2)
    split = ratio(synthetic(30, 20, 300, seed=0))
    problem = RecommenderProblem.build(
        split.train, model="mf", objective=BPR(), options=options, dim=4, dtype=DTYPE
    ).fit()
    room = Budget("interaction", 5).room(problem.units("interaction"))
    norms: list[Tensor] = []
    for kept in problem.history.checkpoints:
        leaves = {name: value.clone().requires_grad_() for name, value in kept.params.items()}
        losses = problem.record_losses(leaves)
        norms.append(torch.stack([
            torch.cat([g.flatten() for g in torch.autograd.grad(one, list(leaves.values()), retain_graph=True)]).norm()
            for one in losses
        ]))  # fmt: skip
    exact = torch.stack(norms).var(0)
    found = gradient_variance(problem, room, directions=400)
    assert float(torch.corrcoef(torch.stack([exact, found]))[0, 1]) > 0.8
    with pytest.raises(MissingRequirement, match="at least two checkpoints"):
        gradient_variance(ridge().fit(), Budget("record", 3).room(ridge().units("record")))
