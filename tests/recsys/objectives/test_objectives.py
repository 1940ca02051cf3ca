"""Every objective against a dense double loop, its fast gradient against autograd and finite differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.data import Interactions, Vocabulary
from recsys.graph import BipartiteGraph
from recsys.objectives import BPR, NBPO, Multinomial, Objective, RelMF, SampledSoftmax, WholeData, objective
from recsys.objectives.negatives import shared_negatives, uniform_negatives
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet

DTYPE = torch.float64


def factors(graph: BipartiteGraph, dim: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(graph.n_users, dim, dtype=DTYPE, generator=generator),
        torch.randn(graph.n_items, dim, dtype=DTYPE, generator=generator),
    )


def total(function: Objective, users: torch.Tensor, items: torch.Tensor, graph: BipartiteGraph) -> torch.Tensor:
    return function.record_losses(users, items, graph).sum() + function.background(users, items, graph)


def dense_whole_data(users: torch.Tensor, items: torch.Tensor, graph: BipartiteGraph, a: float) -> float:
    observed = {(int(u), int(i)) for u, i in zip(graph.rows, graph.cols, strict=True)}
    value = 0.0
    for u in range(graph.n_users):
        for i in range(graph.n_items):
            y = float(users[u] @ items[i])
            value += (1 - y) ** 2 if (u, i) in observed else a * y**2
    return value


def dense_multinomial(users: torch.Tensor, items: torch.Tensor, graph: BipartiteGraph) -> float:
    return -sum(float(torch.log_softmax(users[u] @ items.T, 0)[i]) for u, i in zip(graph.rows, graph.cols, strict=True))


def test_whole_data_equals_the_dense_double_loop(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    expected = dense_whole_data(users, items, graph, 0.07)
    assert float(total(WholeData(a=0.07), users, items, graph)) == pytest.approx(expected, rel=1e-12)
    assert WholeData(a=0.07).value_and_gradient(users, items, graph)[0] == pytest.approx(expected, rel=1e-12)


def test_multinomial_equals_the_dense_loop(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    expected = dense_multinomial(users, items, graph)
    assert float(total(Multinomial(), users, items, graph)) == pytest.approx(expected, rel=1e-12)
    assert Multinomial().value_and_gradient(users, items, graph)[0] == pytest.approx(expected, rel=1e-12)


def test_bpr_equals_the_loop_over_records_and_negatives(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    records, scores = torch.tensor([8, 0, 3]), users @ items.T
    against = uniform_negatives(graph, records, 3, seed=0, epoch=2)
    expected = [
        -np.mean([np.log(1 / (1 + np.exp(float(scores[u, j] - scores[u, i])))) for j in negatives])
        for u, i, negatives in zip(graph.rows[records], graph.cols[records], against, strict=True)
    ]
    found = BPR(negatives=3).sampled_losses(users, items, graph, records, epoch=2, batch=0)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_sampled_softmax_equals_the_loop_over_records(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    records, t = torch.tensor([8, 0, 3]), 0.4
    against = shared_negatives(graph, 40, seed=0, epoch=2, batch=7)  # more than there are items, the positives too
    cosines = torch.cosine_similarity(users[:, None], items[None], dim=2)
    expected: list[float] = []
    for u, i in zip(graph.rows[records], graph.cols[records], strict=True):
        others = [j for j in against if j != i]
        assert len(others) < 40
        competing = sum(np.exp(float(cosines[u, j]) / t) for j in [i, *others])
        expected.append(float(np.log(competing) - float(cosines[u, i]) / t))
    function = SampledSoftmax(negatives=40, temperature=t)
    found = function.sampled_losses(users, items, graph, records, epoch=2, batch=7)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("function", [WholeData(a=0.2), Multinomial(), BPR(negatives=3), SampledSoftmax(negatives=5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_fast_gradient_equals_autograd_and_finite_differences(
    function: Objective, weighted: bool, graph: BipartiteGraph
) -> None:
    if weighted:
        graph = replace(graph, weights=torch.rand(graph.n_edges, dtype=DTYPE))
    users, items = factors(graph)
    value, of_users, of_items = function.value_and_gradient(users, items, graph)
    leaves = [users.clone().requires_grad_(), items.clone().requires_grad_()]
    slow = total(function, *leaves, graph)
    assert value == pytest.approx(float(slow.detach()), rel=1e-12)
    for fast, reference in zip((of_users, of_items), torch.autograd.grad(slow, leaves), strict=True):
        torch.testing.assert_close(fast, reference, **EXACT64)
    du, di = torch.randn_like(users), torch.randn_like(items)
    step = 1e-5
    ahead = float(total(function, users + step * du, items + step * di, graph))
    behind = float(total(function, users - step * du, items - step * di, graph))
    slope = float((of_users * du).sum() + (of_items * di).sum())
    assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-6)
    assert abs(slope) > 1e-3


@pytest.mark.parametrize(
    ("function", "score", "expected"), [(WholeData(a=0.5), 4096.0, 3 * 4095.0**2), (Multinomial(), 2.0**23 + 1.0, 0.0)]
)
def test_sums_are_in_float64_whatever_the_embeddings_are(function: Objective, score: float, expected: float) -> None:
    """Three users of the only item: every term is exact in float32, and a sum of three no longer is."""
    data = Interactions.from_frame(pd.DataFrame({"user": ["u", "v", "w"], "item": ["i", "i", "i"]}))
    graph = BipartiteGraph.from_interactions(data)
    assert function.value_and_gradient(torch.full((3, 1), score), torch.ones(1, 1), graph)[0] == expected


def test_multinomial_is_the_same_in_blocks(graph: BipartiteGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    users, items = factors(graph)
    whole = Multinomial().value_and_gradient(users, items, graph)
    monkeypatch.setattr("recsys.objectives.multinomial._BLOCK", 5 * graph.n_items)
    value, *gradients = Multinomial().value_and_gradient(users, items, graph)
    assert value == pytest.approx(whole[0], rel=1e-12)
    for found, expected in zip(gradients, whole[1:], strict=True):
        torch.testing.assert_close(found, expected, **EXACT64)


@pytest.mark.parametrize("function", [WholeData(), Multinomial(), RelMF(power=0.0), BPR(), SampledSoftmax()])
def test_chosen_records_are_a_part_of_all_with_their_weights(function: Objective, graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    some = torch.tensor([5, 0, 7])
    bare = function.record_losses(users, items, graph)
    weighted = replace(graph, weights=torch.rand(graph.n_edges, dtype=DTYPE))
    for one, expected in ((graph, bare), (weighted, bare * weighted.weights)):
        torch.testing.assert_close(function.record_losses(users, items, one), expected, **EXACT64)
        torch.testing.assert_close(function.record_losses(users, items, one, some), expected[some], **EXACT64)


def test_row_resolve_of_whole_data_equals_the_ridge_closed_form(graph: BipartiteGraph) -> None:
    """With items fixed and no propagation, one user's optimum is a weighted ridge regression."""
    _, items = factors(graph)
    a, l2, u = 0.1, 0.7, 3
    mine = graph.cols[graph.rows == u]
    weight = torch.full((graph.n_items,), a, dtype=DTYPE)
    weight[mine] = 1.0
    target = torch.zeros(graph.n_items, dtype=DTYPE)
    target[mine] = 1.0
    normal = items.T @ (weight[:, None] * items) + l2 * torch.eye(items.shape[1], dtype=DTYPE)
    closed_form = torch.linalg.solve(normal, items.T @ (weight * target))
    users = torch.zeros(graph.n_users, items.shape[1], dtype=DTYPE)
    users[u] = closed_form
    _, of_users, _ = WholeData(a=a).value_and_gradient(users, items, graph)
    torch.testing.assert_close(of_users[u] + 2 * l2 * closed_form, torch.zeros_like(closed_form), rtol=0, atol=1e-10)


def test_negatives_avoid_positives_and_everybody_elses_survive_a_deletion(graph: BipartiteGraph) -> None:
    records = torch.arange(graph.n_edges)
    before = uniform_negatives(graph, records, 6, seed=3, epoch=2)
    observed = set(zip(graph.rows.tolist(), graph.cols.tolist(), strict=True))
    for e in range(graph.n_edges):
        assert all((int(graph.rows[e]), j) not in observed for j in before[e].tolist())
    keep = graph.rows != 4
    smaller = replace(graph, rows=graph.rows[keep], cols=graph.cols[keep])
    after = uniform_negatives(smaller, torch.arange(int(keep.sum())), 6, seed=3, epoch=2)
    assert torch.equal(before[keep], after)
    assert not torch.equal(before, uniform_negatives(graph, records, 6, seed=3, epoch=3))


def test_interactions_of_one_user_and_places_of_one_interaction_draw_by_themselves(graph: BipartiteGraph) -> None:
    mine = (graph.rows == 0).nonzero().flatten()
    drawn = uniform_negatives(graph, mine, 40, seed=3, epoch=2)
    assert len(mine) > 1 and float((drawn[0] == drawn[1]).double().mean()) < 0.4
    assert all(len(set(row)) > 3 for row in drawn.tolist())


def test_negatives_are_uniform_over_what_remains(data: Interactions) -> None:
    """Counts of 6,000 draws within five standard deviations, whether drawn for a record or for a batch."""
    graph = BipartiteGraph.from_interactions(data.without(ForgetSet(items=[101, 104, 105, 113])))
    remaining = np.setdiff1d(np.arange(graph.n_items), [1, 4, 5, 13])
    mine = graph.cols[graph.rows == 0].numpy()
    of_record = uniform_negatives(graph, torch.tensor([0]), 6000, seed=1, epoch=1)[0]
    of_batch = shared_negatives(graph, 6000, seed=1, epoch=1, batch=0)
    for drawn, candidates in ((of_record, np.setdiff1d(remaining, mine)), (of_batch, remaining)):
        items, counts = np.unique(drawn.numpy(), return_counts=True)
        assert items.tolist() == candidates.tolist() and len(items) > 5
        share = 1 / len(items)
        assert np.abs(counts - 6000 * share).max() < 5 * np.sqrt(6000 * share * (1 - share))
    for other in ({"epoch": 2, "batch": 0}, {"epoch": 1, "batch": 1}):
        assert (of_batch == shared_negatives(graph, 6000, seed=1, **other)).float().mean() < 0.2


def test_no_negative_is_forgotten_where_hardly_an_item_remains(data: Interactions) -> None:
    graph = BipartiteGraph.from_interactions(data.without(ForgetSet(items=[i for i in range(100, 115) if i != 107])))
    assert graph.n_edges
    records = torch.arange(graph.n_edges)
    assert (uniform_negatives(graph, records, 50, seed=0, epoch=1) == 7).all()
    assert (shared_negatives(graph, 200, seed=0, epoch=1, batch=0) == 7).all()


def test_a_forgotten_item_does_not_compete(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    gone = 4
    keep = graph.cols != gone
    keys = graph.item_keys.copy()
    keys[gone] = 0
    rows, cols = graph.rows[keep].numpy(), graph.cols[keep].numpy()
    data = Interactions(
        users=Vocabulary([f"u{u:02}" for u in range(graph.n_users)]),
        items=Vocabulary(range(100, 100 + graph.n_items)),
        indptr=np.searchsorted(rows, np.arange(graph.n_users + 1)),
        indices=cols,
    )
    remaining = replace(BipartiteGraph.from_interactions(data, dtype=DTYPE), item_keys=keys)
    value, _, of_items = Multinomial().value_and_gradient(users, items, remaining)
    others = [i for i in range(graph.n_items) if i != gone]
    expected = -sum(
        float(torch.log_softmax(users[u] @ items[others].T, 0)[others.index(int(i))])
        for u, i in zip(remaining.rows, remaining.cols, strict=True)
    )
    assert value == pytest.approx(expected, rel=1e-12)
    assert of_items[gone].abs().max() == 0
    assert float(Multinomial().record_losses(users, items, remaining).sum()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (BPR, {"l2": -1.0, "negatives": 0}),
        (SampledSoftmax, {"l2": float("nan"), "temperature": 0.0, "negatives": 0}),
        (Multinomial, {"l2": -1.0}),
    ],
)
def test_every_bad_argument_is_named_at_once(kind: type[Objective], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as raised:
        kind(**wrong)
    assert str(raised.value).count("\n") == len(wrong) - 1
    assert all(f"`{name}` must be" in str(raised.value) for name in wrong)


@pytest.mark.parametrize(
    "limits",
    [
        (BPR, {"l2": 0.0, "negatives": 1}),
        (SampledSoftmax, {"l2": 0.0, "negatives": 1}),
        (Multinomial, {"l2": 0.0}),
        (WholeData, {"l2": 0.0, "a": 1.0}),
        (RelMF, {"l2": 0.0, "a": 1.0, "power": 0.0, "clip": 1.0}),
        (NBPO, {"l2": 0.0, "negatives": 1, "flip_dim": 1, "flip_l2": 0.0}),
    ],
    ids=lambda limits: limits[0].name,
)
def test_the_limits_of_an_argument_are_allowed(limits: tuple[type[Objective], dict[str, Any]]) -> None:
    kind, arguments = limits
    assert kind(**arguments).arguments().items() >= arguments.items()


def test_unknown_objective_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="whole_data"):
        objective("nope")
    with pytest.raises(ValueError, match="`a`"):
        WholeData(a=0.0)


@pytest.mark.parametrize("function", [WholeData(a=0.2), Multinomial(), RelMF()])
def test_derivatives_of_all_losses_keep_no_row_for_each_interaction(function: Objective, graph: BipartiteGraph) -> None:
    dim, kept = 32, [0]

    def keep(value: torch.Tensor) -> torch.Tensor:
        kept.append(value.numel())
        return value

    tables = [table.requires_grad_() for table in factors(graph, dim)]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        first = torch.autograd.grad(total(function, *tables, graph), tables, create_graph=True)
        second = torch.autograd.grad(sum(one.square().sum() for one in first), tables)
    assert all(one.abs().sum() > 0 for one in second)
    assert max(kept) < graph.n_edges * dim
    everything = torch.arange(graph.n_edges)
    one_by_one = function.record_losses(*tables, graph, everything)
    torch.testing.assert_close(function.record_losses(*tables, graph), one_by_one, **EXACT64)
