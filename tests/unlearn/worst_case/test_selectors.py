"""What each selector chooses, against its definition, and side by side."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import ridge, tiny_data
from unlearn.methods.base import MissingRequirement, VerificationFailed, method
from unlearn.params import flatten
from unlearn.problem import Problem
from unlearn.worst_case import (
    Bilevel,
    Budget,
    Easiest,
    Hubs,
    MaxGap,
    MostMemorised,
    Opposing,
    Random,
    Room,
    Search,
    Selector,
    Upper,
    judged,
    selector,
    selectors,
    trial,
)
from unlearn.worst_case.asking import RecordAsking
from unlearn.worst_case.held_out import folds
from unlearn.worst_case.most_memorised import memorisation
from unlearn.worst_case.opposing import gradient_sketch, pair_scores

DTYPE = torch.float64


def test_easiest_and_random(problem: RecommenderProblem) -> None:
    losses = problem.record_losses(problem.params)
    of_users = torch.stack([losses[problem.graph.rows == u].mean() for u in range(30)])
    found = Easiest().select(problem, "users:5")
    assert set(found.units.tolist()) == set(of_users.argsort()[:5].tolist())
    assert found.weights.nonzero().flatten().equal(found.units) and found.rounds == () and found.start is None
    draws = [Random().select(problem, "users:5", seed=seed).units for seed in range(40)]
    assert len({tuple(rows.tolist()) for rows in draws}) > 30
    assert len(torch.unique(torch.cat(draws))) == 30


def test_without_somebody_everybody_else_keeps_their_draws(problem: RecommenderProblem) -> None:
    """Records are numbered anew without the first user; what is drawn goes by who and what they are."""
    forget = problem.units("user").forget_set(np.array([0]))
    without = problem.without(forget)
    drawn = [Random().select(problem, "interactions:6", seed=seed).forget for seed in range(20)]
    spared = [seed for seed in range(20) if forget.users[0] not in {user for user, _ in drawn[seed].interactions}]
    assert len(spared) > 5
    for seed in spared:
        assert Random().select(without, "interactions:6", seed=seed).forget == drawn[seed]
    asked, left = (
        RecordAsking.drawn(one, Budget("user", 3).room(one.units("user")), seed=5).asked for one in (problem, without)
    )
    assert asked[problem.graph.rows != 0].equal(left) and not left.all()


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
    torch.testing.assert_close(memorisation(fitted, room, 40, seed=0), expected, rtol=1e-6, atol=1e-8)
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
    torch.testing.assert_close(scores, memorisation(fitted, room, 8, seed=0), **EXACT64)
    exact = MaxGap(by="retrain", folds=8).scores(fitted, room, 0)
    assert float(exact.abs().max()) < 1e-6 < float(scores.abs().max())
    assert MaxGap(by="no_op").judged_by() == Upper("max_gap", "no_op", 5)
    with pytest.raises(ValueError, match='`objective` must be "still_fitted" or "max_gap"'):
        Upper("maxgap")


def test_sets_are_judged_by_a_method_with_arguments_of_its_own(problem: RecommenderProblem) -> None:
    room = Budget("interaction", 8).room(problem.units("interaction"))
    judge = MaxGap(by="iau:lr=0.02:steps=3", folds=2).judged_by().ready(problem, room, seed=0)
    assert judge.unlearner == method("iau", lr=0.02, steps=3)
    for one in (MaxGap, Bilevel):
        with pytest.raises(ValueError, match="`nothing` is no unlearning method"):
            one(by="nothing")
        with pytest.raises(ValueError, match="`x` is no argument of `iau`"):
            one(by="iau:x=1")


def test_what_sets_cannot_be_judged_by_is_refused(problem: RecommenderProblem) -> None:
    with pytest.raises(MissingRequirement, match="`sharding` must serve with a model that has weights"):
        MaxGap(by="sharding", folds=2).select(problem, "interactions:8")
    with pytest.raises(VerificationFailed, match="`gradient_ascent` ended with parameters that are not finite"):
        MaxGap(by="gradient_ascent:lr=1e300", folds=2).select(problem, "interactions:8")


@pytest.mark.parametrize("name", selectors())
def test_a_model_that_diverged_has_no_worst_case(name: str, problem: RecommenderProblem) -> None:
    """Losses that are no numbers ranked first, so that the set was the first units there are."""
    params = {name: torch.full_like(value, torch.nan) for name, value in problem.params.items()}
    with pytest.raises(ValueError, match="`problem` must have finite parameters"):
        selector(name).select(problem.with_params(params), "users:3")


@pytest.mark.parametrize(
    "chosen", [MostMemorised(folds=2), MaxGap(folds=2), Bilevel(objective="max_gap", by="graph_drop", folds=2)]
)
def test_a_retrain_that_diverges_is_no_reference(chosen: Selector) -> None:
    options = TrainingOptions(epochs=3, lr=1e30)
    problem = RecommenderProblem.build(tiny_data(30, 20, 200), model="mf", objective="bpr", dim=4, options=options)
    with pytest.raises(ValueError, match="a retrain of `problem` without a fold must end in finite losses of that"):
        chosen.select(problem, "users:3")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(MaxGap, {"folds": 1}), (MostMemorised, {"folds": 1}), (Opposing, {"directions": 0, "candidates": 1})],
)
def test_what_is_out_of_range_is_refused_before_the_search(kind: Any, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"(?s)" + ".*".join(f"`{name}` must be" for name in arguments)):
        kind(**arguments)


def test_a_rule_that_says_nothing_of_what_fills_the_budget_says_so(problem: RecommenderProblem) -> None:
    few = Opposing(candidates=10)
    room = Budget("interaction", 9).room(problem.units("interaction"))
    paired = few.scores(problem, room, 0).isfinite()
    assert 0 < int(paired.sum()) < 9
    found = few.select(problem, "interactions:9")
    assert set(found.units.tolist()) == set([*room.rows[paired].tolist(), *room.rows[~paired].tolist()][:9])
    without = 9 - int(paired.sum())
    assert found.warnings == (f"`opposing` says nothing of {without} of the 9 chosen: they are the first there are",)
    assert Opposing().select(problem, "interactions:9").warnings == ()


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


@pytest.mark.parametrize("over", ["messages", "ties"])
@pytest.mark.parametrize("by", ["page_rank", "degree"])
def test_social_hubs_are_those_of_networkx(social: RecommenderProblem, over: Any, by: Any) -> None:
    graph, ends = nx.Graph(), social.units("tie").ends
    assert ends is not None
    graph.add_edges_from((f"u{a}", f"u{b}") for a, b in ends.tolist())
    if over == "messages":
        pairs = zip(social.graph.rows.tolist(), social.graph.cols.tolist(), strict=True)
        graph.add_edges_from((f"u{u}", f"i{i}") for u, i in pairs)
    rank = nx.pagerank(graph, alpha=0.85, tol=1e-13, max_iter=1000) if by == "page_rank" else dict(graph.degree())
    hubs = Hubs(over=over, by=by)
    room = Budget("user", 3).room(social.units("user"))
    expected = torch.tensor([float(rank.get(f"u{row}", 0)) for row in room.rows.tolist()], dtype=DTYPE)
    torch.testing.assert_close(hubs.scores(social, room, 0), expected, rtol=1e-9, atol=1e-10)
    ties = Budget("tie", 3).room(social.units("tie"))
    products = torch.tensor([float(rank[f"u{a}"] * rank[f"u{b}"]) for a, b in ends.tolist()], dtype=DTYPE)
    torch.testing.assert_close(hubs.scores(social, ties, 0), products, rtol=1e-8, atol=1e-10)


def test_hubs_of_ties_need_ties(problem: RecommenderProblem) -> None:
    with pytest.raises(MissingRequirement, match="`hubs:over=ties` needs a problem with ties"):
        Hubs(over="ties").select(problem, "users:3")
    with pytest.raises(ValueError, match="(?s)`over` must be .*`by` must be .*`damping` must be"):
        Hubs(over="x", by="y", damping=1.0)  # pyright: ignore[reportArgumentType]


def test_the_easiest_ties_join_users_who_are_answered_most_alike(social: RecommenderProblem) -> None:
    losses = social.tie_losses(social.params, torch.arange(len(social.units("tie"))))
    found = Easiest().select(social, "ties:5")
    assert set(found.units.tolist()) == set(losses.argsort()[:5].tolist())
    assert len(found.forget.ties) == 10 and found.cost == 5


def test_every_selector_that_applies_to_ties_keeps_the_budget(social: RecommenderProblem) -> None:
    cheap: dict[str, dict[str, Any]] = {"bilevel": {"rounds": 3}}
    for name in selectors():
        one: Selector = selector(name, **cheap.get(name, {}))
        if name == "opposing":
            with pytest.raises(MissingRequirement, match="a tie has none"):
                one.select(social, "ties:4")
            continue
        found = one.select(social, "ties:4", seed=4)
        assert len(found.units) == 4 and len(found.forget.ties) == 8
        assert social.resolve(found.forget) == found.forget
    with pytest.raises(ValueError, match="`budget` must count ties themselves"):
        Easiest().select(social, "ties/interactions:4")


def test_a_search_for_ties_beats_a_random_set(social: RecommenderProblem) -> None:
    found = trial(social, Bilevel(rounds=8), "ties:4", seed=0)
    assert found.upper_objective < found.upper_objective_random
    assert all(one.lower is not None for one in found.chosen.rounds)


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
    with pytest.raises(ValueError, match="there are bilevel, easiest"):
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


def test_where_the_budget_counts_records_a_unit_weighs_as_many(problem: RecommenderProblem) -> None:
    room = Budget.parse("users/interactions:15%").room(problem.units("user"))
    judge = Upper(by="no_op").ready(problem, room, seed=1)
    rows = torch.tensor([0, 3, 4])
    losses = judge.asking.losses(problem.params, rows)
    counts = torch.from_numpy(problem.units("user").counts)[room.rows[rows]].double()
    assert len(counts.unique()) > 1
    assert judge.value(rows) == pytest.approx(float(losses @ counts / counts.sum()))


def test_where_training_samples_sets_are_judged_by_a_retrain() -> None:
    options = TrainingOptions(seed=1, epochs=3, lr=0.05)
    sampled = RecommenderProblem.build(
        tiny_data(30, 20, 200), model="mf", objective=BPR(), options=options, dim=4
    ).fit()
    judge = Upper().ready(sampled, Budget("interaction", 8).room(sampled.units("interaction")), seed=1)
    assert judge.unlearner == method("retrain", coupled=True)
    assert trial(sampled, Easiest(), "interactions:8").upper_objective > 0


def test_a_selector_whose_arguments_nobody_could_read_is_told_what_it_lacks() -> None:
    class Bare(Selector):
        name = "bare"

        def search(self, problem: Problem, room: Room, seed: int) -> Search:
            return Search(torch.ones(len(room)))

    with pytest.raises(TypeError, match="`Bare` must be a dataclass of its hyper-parameters"):
        Bare().arguments()
