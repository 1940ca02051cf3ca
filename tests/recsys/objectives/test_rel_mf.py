"""Rel-MF against its double loop and its expectation; its propensities are those of the data that remains."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data import Interactions, Vocabulary
from recsys.graph import BipartiteGraph
from recsys.objectives import RelMF, WholeData, objective
from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64, FINITE_DIFFERENCE64
from unlearn.forget import ForgetSet


def factors(graph: BipartiteGraph, dim: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    users, items = torch.randn(2, max(graph.n_users, graph.n_items), dim, dtype=torch.float64, generator=generator)
    return users[: graph.n_users], items[: graph.n_items]


def total(function: RelMF | WholeData, users: torch.Tensor, items: torch.Tensor, graph: BipartiteGraph) -> torch.Tensor:
    return function.record_losses(users, items, graph).sum() + function.background(users, items, graph)


def test_equals_the_double_loop(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    observed = {(int(u), int(i)) for u, i in zip(graph.rows, graph.cols, strict=True)}
    counts = [sum(j == i for _, j in observed) for i in range(graph.n_items)]
    function = RelMF(a=0.2, power=0.7, clip=0.6)
    value, clipped = 0.0, 0
    for u, i in product(range(graph.n_users), range(graph.n_items)):
        y = float(users[u] @ items[i])
        seen = max(0.6, (counts[i] / max(counts)) ** 0.7)
        clipped += seen == 0.6
        label = ((u, i) in observed) / seen
        value += label * (1 - y) ** 2 + 0.2 * (1 - label) * y**2
    assert 0 < clipped < graph.n_users * graph.n_items
    assert float(total(function, users, items, graph)) == pytest.approx(value, rel=1e-12)
    some = torch.tensor([5, 0, 7])
    torch.testing.assert_close(
        function.record_losses(users, items, graph, some), function.record_losses(users, items, graph)[some], **EXACT64
    )


def test_equal_propensities_leave_whole_data(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    plain = total(WholeData(a=0.2), users, items, graph)
    torch.testing.assert_close(total(RelMF(a=0.2, power=0.0), users, items, graph), plain, **EXACT64)
    assert float(total(RelMF(a=0.2), users, items, graph)) > 1.1 * float(plain)


def test_is_unbiased_over_what_happens_to_be_seen() -> None:
    """The mean over every outcome of who sees what, by enumeration, is the loss over what is relevant."""
    seen = torch.tensor([0.9, 0.4, 0.25], dtype=torch.float64)

    class Known(RelMF):
        def propensities(self, graph: BipartiteGraph) -> torch.Tensor:
            return seen

    relevant = np.array([[1, 0, 1], [1, 1, 0]])
    table = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    users, items = table[:2], table[2:]
    y = (users @ items.T).numpy()
    expected = float((relevant * (1 - y) ** 2 + 0.3 * (1 - relevant) * y**2).sum())
    pairs = np.argwhere(relevant)
    mean = 0.0
    for outcome in product((0, 1), repeat=len(pairs)):
        chance = np.prod([seen[i] if o else 1 - seen[i] for o, (_, i) in zip(outcome, pairs, strict=True)])
        shown = pairs[np.array(outcome, dtype=bool)]
        mean += float(chance) * float(
            total(
                Known(a=0.3),
                users,
                items,
                BipartiteGraph.from_interactions(interactions_of(shown, 2, 3), dtype=torch.float64),
            )
        )
    assert mean == pytest.approx(expected, rel=1e-12)


def interactions_of(pairs: np.ndarray[Any, np.dtype[np.int64]], n_users: int, n_items: int) -> Interactions:
    return Interactions(
        users=Vocabulary(range(n_users)),
        items=Vocabulary(range(n_items)),
        indptr=np.searchsorted(pairs[:, 0], np.arange(n_users + 1)),
        indices=pairs[:, 1].copy(),
    )


def test_deleting_an_interaction_moves_the_weights_of_others() -> None:
    counts = np.array([6, 4, 2, 1])
    pairs = np.argwhere(np.arange(6)[:, None] < counts)
    data = interactions_of(pairs, 6, 4)
    problem = RecommenderProblem.build(data, model="mf", objective=RelMF(clip=0.45), dim=4, dtype=torch.float64)
    function = RelMF(clip=0.45)

    def propensities(forget: ForgetSet) -> list[float]:
        return function.propensities(problem.without(forget).graph).tolist()

    assert propensities(ForgetSet()) == pytest.approx([1.0, np.sqrt(4 / 6), np.sqrt(2 / 6), 0.45])
    # Item 0 loses one: every other item's share of the most popular one grows, though it lost nothing itself.
    expected = [1.0, np.sqrt(4 / 5), np.sqrt(2 / 5), 0.45]
    assert propensities(ForgetSet(interactions=[(0, 0)])) == pytest.approx(expected)
    # User 5 had but that one; item 0 forgotten leaves item 1 on top, and itself nothing to weigh.
    assert propensities(ForgetSet(users=[5])) == pytest.approx(expected)
    assert propensities(ForgetSet(items=[0]))[1:] == pytest.approx([1.0, np.sqrt(2 / 4), np.sqrt(1 / 4)])
    params = problem.params
    before, after = (p.record_losses(params) for p in (problem, problem.without(ForgetSet(items=[0]))))
    assert (before[problem.graph.cols > 0] != after).all()


def test_gradient_matches_finite_differences(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    function = RelMF(a=0.2)
    _, of_users, of_items = function.value_and_gradient(users, items, graph)
    generator = torch.Generator().manual_seed(3)
    du, di = torch.randn_like(users), torch.randn(items.shape, dtype=torch.float64, generator=generator)
    ahead, behind = (float(total(function, users + s * du, items + s * di, graph)) for s in (1e-5, -1e-5))
    slope = float((of_users * du).sum() + (of_items * di).sum())
    assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)


def test_is_differentiable_in_weights_and_weight_zero_is_removal(data: Interactions) -> None:
    problem = RecommenderProblem.build(data, objective=RelMF(a=0.2), dim=4, layers=2, dtype=torch.float64)
    weights = (0.2 + 0.8 * torch.rand(len(data), dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(problem.weighted("interaction", weights).objective(problem.params), weights)
    with torch.no_grad():
        for probe in (0, 11, 30):
            step = torch.zeros(len(data), dtype=torch.float64)
            step[probe] = 1e-6
            ahead, behind = (
                problem.weighted("interaction", weights + sign * step).objective(problem.params) for sign in (1, -1)
            )
            torch.testing.assert_close(gradient[probe], (ahead - behind) / 2e-6, **FINITE_DIFFERENCE64)
    removed = torch.ones(data.n_users, dtype=torch.float64)
    removed[2] = 0.0
    torch.testing.assert_close(
        problem.weighted("user", removed).objective(problem.params),
        problem.without(ForgetSet(users=["u02"])).objective(problem.params),
        **EXACT64,
    )


def test_every_bad_argument_is_named_at_once_and_what_was_counted_is_none(graph: BipartiteGraph) -> None:
    with pytest.raises(ValueError) as raised:
        RelMF(a=0.0, l2=-1.0, power=-0.5, clip=0.0)
    assert all(f"`{name}`" in str(raised.value) for name in ("a", "l2", "power", "clip"))
    function = RelMF(power=0.3).counted(graph)
    assert objective("rel_mf", **function.arguments()) == function
    assert function.arguments().keys() == {"l2", "a", "power", "clip"}
