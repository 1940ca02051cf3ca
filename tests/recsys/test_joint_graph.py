"""Propagation over interactions and ties against dense algebra and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad
from torch.autograd.functional import jacobian

from recsys.data import Interactions
from recsys.graph import BipartiteGraph
from recsys.joint_graph import JointGraph
from tests.recsys.conftest import tiny_interactions
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.units import Unit

DTYPE = torch.float64
S = 0.4  # weight of a tie
# One way, the other way, both ways, and a tie of the user without interactions.
TIES = [(0, 3), (1, 0), (2, 5), (4, 7), (5, 2), (7, 4), (9, 11)]


@pytest.fixture
def data() -> Interactions:
    return replace(tiny_interactions(), ties=np.array(TIES, dtype=np.int64))


@pytest.fixture
def graph(data: Interactions) -> JointGraph:
    return JointGraph.of(data, S, dtype=DTYPE)


def dense_adjacency(
    data: Interactions, *, weights: torch.Tensor | None = None, ties: dict[tuple[int, int], float] | None = None
) -> torch.Tensor:
    """The slow truth: D^-1/2 [[s T, R], [R^T, 0]] D^-1/2 entry by entry."""
    n, m = data.n_users, data.n_items
    between = torch.zeros(n + m, n + m, dtype=DTYPE)
    for e, (u, i) in enumerate(zip(data.user_rows().tolist(), data.indices.tolist(), strict=True)):
        between[u, n + i] = between[n + i, u] = 1.0 if weights is None else weights[e]
    assert data.ties is not None
    for a, b in data.ties.tolist():
        between[a, b] = between[b, a] = S * (1.0 if ties is None else ties[min(a, b), max(a, b)])
    root = between.sum(1).clamp_min(1e-300).rsqrt()
    return root[:, None] * between * root[None, :]


def test_propagation_is_by_the_dense_normalised_matrix(data: Interactions, graph: JointGraph) -> None:
    dense = dense_adjacency(data)
    found = graph.normalized.to_dense()
    torch.testing.assert_close(found, dense, **EXACT64)
    assert torch.equal(found, found.T)
    assert graph.ends.tolist() == [[0, 1], [0, 3], [2, 5], [4, 7], [9, 11]]  # both ways count once
    assert found[11].abs().sum() == found[11, 9] > 0  # who has a tie and nothing else hears of one user
    x = torch.randn(graph.n_nodes, 3, dtype=DTYPE)
    torch.testing.assert_close(graph.propagate(x), dense @ x, **EXACT64)
    without = BipartiteGraph.from_interactions(data, dtype=DTYPE)
    assert (graph.propagate(x) - without.propagate(x))[: graph.n_users].abs().max() > 1e-2


def test_interactions_alone_are_a_bipartite_graph(data: Interactions) -> None:
    alone = JointGraph.of(replace(data, ties=np.empty((0, 2), dtype=np.int64)), S, dtype=DTYPE)
    plain = BipartiteGraph.from_interactions(data, dtype=DTYPE)
    torch.testing.assert_close(alone.normalized.to_dense(), plain.normalized.to_dense(), **EXACT64)
    torch.testing.assert_close(alone.degrees(), plain.degrees())


def test_degrees_count_ties_by_their_weight(data: Interactions, graph: JointGraph) -> None:
    users, items = data.degrees()
    tied = np.bincount(np.array([[0, 1], [0, 3], [2, 5], [4, 7], [9, 11]]).ravel(), minlength=data.n_users)
    assert graph.degrees().tolist() == [*(users + S * tied).tolist(), *items.tolist()]


def test_first_and_second_derivatives_match_finite_differences(graph: JointGraph) -> None:
    weights = (0.3 + 0.7 * torch.rand(graph.n_edges, dtype=DTYPE)).requires_grad_()
    ties = (0.3 + 0.7 * torch.rand(graph.n_ties, dtype=DTYPE)).requires_grad_()
    x = torch.randn(graph.n_nodes, 2, dtype=DTYPE, requires_grad=True)

    def function(x: torch.Tensor, w: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        weighted = graph.weighted(w).tied(t)
        return weighted.propagate(weighted.propagate(x))[: graph.n_users].square().sum()

    assert torch.autograd.gradcheck(function, (x, weights, ties))
    assert torch.autograd.gradgradcheck(function, (x, weights, ties))
    (slope,) = torch.autograd.grad(function(x, weights, ties), ties)
    assert slope.abs().min() > 1e-4  # every tie counts


def test_forward_mode_equals_finite_differences(graph: JointGraph) -> None:
    x, dx = torch.randn(2, graph.n_nodes, 3, dtype=DTYPE)
    values, dvalues = torch.rand(2, len(graph.values), dtype=DTYPE)
    with forward_ad.dual_level():
        dual = replace(graph, values=forward_ad.make_dual(values, dvalues)).propagate(forward_ad.make_dual(x, dx))
        tangent = forward_ad.unpack_dual(dual).tangent
    step = 1e-6
    ahead = replace(graph, values=values + step * dvalues).propagate(x + step * dx)
    behind = replace(graph, values=values - step * dvalues).propagate(x - step * dx)
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * step), rtol=1e-7, atol=1e-8)


def test_weights_enter_arcs_and_degrees_and_one_kind_keeps_the_others(data: Interactions, graph: JointGraph) -> None:
    weights, ties = torch.rand(graph.n_edges, dtype=DTYPE), torch.rand(graph.n_ties, dtype=DTYPE)
    by_pair = {(a, b): float(w) for (a, b), w in zip(graph.ends.tolist(), ties, strict=True)}
    expected = dense_adjacency(data, weights=weights, ties=by_pair)
    for weighted in (graph.weighted(weights).tied(ties), graph.tied(ties).weighted(weights)):
        torch.testing.assert_close(weighted.adjacency(weighted.values).to_dense(), expected, **EXACT64)
    assert graph.tied(ties).weights is None  # no loss is weighted
    alone, expected = graph.weighted(weights), dense_adjacency(data, weights=weights)
    torch.testing.assert_close(alone.adjacency(alone.values).to_dense(), expected, **EXACT64)


@pytest.mark.parametrize(
    ("unit", "orders"), [("interaction", (1, 0)), ("user", (1, 2)), ("item", (1, 0)), ("tie", (0, 1))]
)
def test_degrees_can_be_held_fixed_in_the_derivative(
    data: Interactions, graph: JointGraph, unit: Unit, orders: tuple[int, int]
) -> None:
    """Arcs are then homogeneous in the weights: along them they change by their order times what they are (Euler)."""
    for one in (graph, BipartiteGraph.from_interactions(data, dtype=DTYPE)):
        if unit not in one.sizes:
            continue
        weights = torch.rand(one.sizes[unit], dtype=DTYPE)
        fixed = one.weighted_by(unit, weights, degrees=False).values
        torch.testing.assert_close(fixed, one.weighted_by(unit, weights).values, **EXACT64)
        slopes = jacobian(lambda w, one=one: one.weighted_by(unit, w, degrees=False).values, weights)
        order = torch.where(torch.arange(len(fixed)) < one.n_edges, *orders)
        torch.testing.assert_close(slopes @ weights, order * fixed, **EXACT64)


def test_a_user_weighs_interactions_and_ties(data: Interactions, graph: JointGraph) -> None:
    w = torch.rand(data.n_users, dtype=DTYPE)
    by_pair = {(a, b): float(w[a] * w[b]) for a, b in graph.ends.tolist()}
    expected = dense_adjacency(data, weights=w[graph.rows], ties=by_pair)
    weighted = graph.weighted_by("user", w)
    torch.testing.assert_close(weighted.adjacency(weighted.values).to_dense(), expected, **EXACT64)


def test_weight_zero_equals_removal_with_degrees_counted_again(data: Interactions, graph: JointGraph) -> None:
    forget = ForgetSet(ties=[("u00", "u03"), ("u02", "u05"), ("u05", "u02")])
    removed = JointGraph.of(data.without(forget), S, dtype=DTYPE)
    assert removed.ends.tolist() == [[0, 1], [4, 7], [9, 11]]
    assert graph.cut_by(removed).tolist() == [[0, 3], [2, 5]]
    faded = graph.tied(torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0], dtype=DTYPE))
    x = torch.randn(graph.n_nodes, 3, dtype=DTYPE)
    torch.testing.assert_close(faded.propagate(x), removed.propagate(x), **EXACT64)
    assert (faded.propagate(x) - graph.propagate(x)).abs().max() > 1e-2


def test_ties_that_were_cut_are_told_by_both_ends(data: Interactions) -> None:
    """Whole bipartite ties between users 0, 1 and 2, 3, less one at a time."""
    ties = np.array([(0, 2), (0, 3), (1, 2), (1, 3)])
    graph = JointGraph.of(replace(data, ties=ties), S)
    for cut in range(4):
        remaining = JointGraph.of(replace(data, ties=np.delete(ties, cut, axis=0)), S)
        assert graph.cut_by(remaining).tolist() == [ties[cut].tolist()]


def test_all_weights_zero_leaves_finite_derivatives(graph: JointGraph) -> None:
    ties = torch.zeros(graph.n_ties, dtype=DTYPE, requires_grad=True)
    x = torch.randn(graph.n_nodes, 3, dtype=DTYPE)
    (gradient,) = torch.autograd.grad(graph.tied(ties).propagate(x).sum(), ties)
    assert gradient.isfinite().all()
