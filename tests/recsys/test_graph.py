"""Propagation against dense algebra, finite differences and PyG."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad

from recsys.data import Interactions
from recsys.graph import BipartiteGraph
from recsys.models import LightGCN
from tests.tolerances import EXACT64

DTYPE = torch.float64


def dense_adjacency(graph: BipartiteGraph, weights: torch.Tensor | None = None, floor: float = 0.0) -> torch.Tensor:
    """The slow truth: the normalised adjacency entry by entry."""
    n, m = graph.n_users, graph.n_items
    r = torch.zeros(n, m, dtype=DTYPE)
    for e in range(graph.n_edges):
        r[graph.rows[e], graph.cols[e]] = 1.0 if weights is None else weights[e]
    du, di = r.sum(1).clamp_min(floor), r.sum(0).clamp_min(floor)
    a = torch.zeros(n + m, n + m, dtype=DTYPE)
    for u, i in r.nonzero().tolist():
        a[u, n + i] = a[n + i, u] = r[u, i] / (du[u] * di[i]).sqrt()
    return a


def test_normalized_adjacency_equals_the_dense_one_and_isolated_nodes_have_zero_rows(graph: BipartiteGraph) -> None:
    dense = graph.normalized.to_dense()
    torch.testing.assert_close(dense, dense_adjacency(graph), **EXACT64)
    assert torch.equal(dense, dense.T)
    assert dense[graph.n_users - 1].abs().sum() == 0 and dense[-1].abs().sum() == 0
    assert dense.abs().sum() > 0


def test_some_rows_are_those_of_the_whole_matrix_in_the_order_asked(graph: BipartiteGraph) -> None:
    values = torch.arange(1.0, graph.n_edges + 1.0, dtype=DTYPE)
    dense = torch.zeros(graph.n_users, graph.n_items, dtype=DTYPE).index_put((graph.rows, graph.cols), values)
    users, items = torch.tensor([4, graph.n_users - 1, 0]), torch.tensor([graph.n_items - 1, 3, 1, 2])
    assert torch.equal(graph.rows_of_users(users, values).to_dense(), dense[users])
    assert torch.equal(graph.rows_of_items(items, values).to_dense(), dense.T[items])
    assert graph.rows_of_users(users[:0], values).shape == (0, graph.n_items)


def test_propagation_equals_pyg_lightgcn(graph: BipartiteGraph) -> None:
    from torch_geometric.nn import LightGCN as PyGLightGCN

    peer = PyGLightGCN(graph.n_nodes, 8, num_layers=3).double()
    model = LightGCN(graph.n_users, graph.n_items, dim=8, layers=3).double()
    with torch.no_grad():
        model.table.copy_(peer.embedding.weight)
    one_way = torch.stack([graph.rows, graph.cols + graph.n_users])
    both_ways = torch.cat([one_way, one_way.flip(0)], 1)
    expected = peer.get_embedding(both_ways)
    torch.testing.assert_close(model(graph), expected, **EXACT64)
    cut = peer.get_embedding(both_ways[:, :0])
    assert (model(graph) - cut).abs().max() > 1e-2  # the graph matters


def test_polynomial_describes_the_propagation(graph: BipartiteGraph) -> None:
    model = LightGCN(graph.n_users, graph.n_items, dim=4, layers=2)
    x = torch.randn(graph.n_nodes, 4, dtype=DTYPE)
    a = graph.normalized.to_dense()
    expected = sum(c * torch.linalg.matrix_power(a, power) @ x for power, c in enumerate(model.polynomial()))
    torch.testing.assert_close(model.propagate(graph, x), expected, **EXACT64)


def test_first_and_second_derivatives_match_finite_differences(graph: BipartiteGraph) -> None:
    weights = (0.3 + 0.7 * torch.rand(graph.n_edges, dtype=DTYPE)).requires_grad_()
    x = torch.randn(graph.n_nodes, 3, dtype=DTYPE, requires_grad=True)

    def function(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return graph.weighted(w).propagate(graph.weighted(w).propagate(x))[: graph.n_users].square().sum()

    assert torch.autograd.gradcheck(function, (x, weights))
    assert torch.autograd.gradgradcheck(function, (x, weights))


def test_third_and_fourth_derivatives_match_finite_differences(graph: BipartiteGraph) -> None:
    """There one of the two functions is applied to values that are not the graph's own."""
    weights = (0.3 + 0.7 * torch.rand(graph.n_edges, dtype=DTYPE)).requires_grad_()
    x = torch.randn(graph.n_nodes, 2, dtype=DTYPE, requires_grad=True)

    def slopes(x: torch.Tensor, w: torch.Tensor) -> tuple[torch.Tensor, ...]:
        value = graph.weighted(w).propagate(x).pow(4).sum()
        return torch.autograd.grad(value, (x, w), create_graph=True)

    assert torch.autograd.gradgradcheck(slopes, (x, weights), fast_mode=True)


def test_forward_mode_equals_reverse_mode(graph: BipartiteGraph) -> None:
    x, dx = torch.randn(2, graph.n_nodes, 3, dtype=DTYPE)
    values, dvalues = torch.rand(2, graph.n_edges, dtype=DTYPE)
    from dataclasses import replace

    with forward_ad.dual_level():
        dual = replace(graph, values=forward_ad.make_dual(values, dvalues)).propagate(forward_ad.make_dual(x, dx))
        tangent = forward_ad.unpack_dual(dual).tangent
    step = 1e-6
    ahead = replace(graph, values=values + step * dvalues).propagate(x + step * dx)
    behind = replace(graph, values=values - step * dvalues).propagate(x - step * dx)
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * step), rtol=1e-7, atol=1e-8)


def test_weights_enter_the_degrees(graph: BipartiteGraph) -> None:
    weights = torch.rand(graph.n_edges, dtype=DTYPE)
    weighted = graph.weighted(weights)
    expected = dense_adjacency(graph, weights, floor=1e-6)
    torch.testing.assert_close(graph.adjacency(weighted.values).to_dense(), expected, **EXACT64)


def test_weight_zero_equals_removal(data: Interactions, graph: BipartiteGraph) -> None:
    keep = torch.arange(graph.n_edges) % 3 != 0
    smaller = BipartiteGraph.from_interactions(data.take(keep.nonzero().flatten().numpy()), dtype=DTYPE)
    faded = graph.weighted(keep.to(DTYPE))
    x = torch.randn(graph.n_nodes, 3, dtype=DTYPE)
    torch.testing.assert_close(faded.propagate(x), smaller.propagate(x), **EXACT64)
    assert (faded.propagate(x) - graph.propagate(x)).abs().max() > 1e-2


def test_all_weights_zero_leaves_finite_derivatives(graph: BipartiteGraph) -> None:
    weights = torch.zeros(graph.n_edges, dtype=DTYPE, requires_grad=True)
    x = torch.randn(graph.n_nodes, 3, dtype=DTYPE)
    (gradient,) = torch.autograd.grad(graph.weighted(weights).propagate(x).sum(), weights)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("layers", [-1])
def test_bad_layers_are_refused(layers: int) -> None:
    with pytest.raises(ValueError, match="layers"):
        LightGCN(2, 2, layers=layers)
