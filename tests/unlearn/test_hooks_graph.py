"""Recommenders of other people's layers: forgetting an edge must cut it out of the losses and of the messages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, LightGCN, SAGEConv

from tests.tolerances import CONVERGED64, EXACT64
from unlearn.forget import ForgetSet
from unlearn.hooks import AttachedOptions, AttachedProblem, attach
from unlearn.methods import Retrain, method

DTYPE = torch.float64
USERS, ITEMS, DIM = 8, 9, 4
PAIRS = torch.tensor([(u, USERS + i) for u in range(USERS) for i in range(ITEMS) if (3 * u + 5 * i) % 7 < 3])
NEGATIVES = torch.tensor([USERS + (2 * u + i) % ITEMS for u, i in PAIRS.tolist()])

Data = dict[str, Tensor]


def both_ways(pairs: Tensor) -> Tensor:
    return torch.cat([pairs, pairs.flip(1)]).T.contiguous()


def whole_data() -> Data:
    return {"pairs": PAIRS, "negatives": NEGATIVES, "edge_index": both_ways(PAIRS)}


def cut(data: Data, gone: Tensor) -> Data:
    """Remaining losses and remaining message graph."""
    kept = torch.ones(len(data["pairs"]), dtype=torch.bool)
    kept[gone] = False
    pairs = data["pairs"][kept]
    return {"pairs": pairs, "negatives": data["negatives"][kept], "edge_index": both_ways(pairs)}


def losses_only(data: Data, gone: Tensor) -> Data:
    """The mistake to be caught: the forgotten edges go on carrying messages."""
    return cut(data, gone) | {"edge_index": data["edge_index"]}


def bpr(final: Tensor, data: Data) -> Tensor:
    users, items, negatives = data["pairs"][:, 0], data["pairs"][:, 1], data["negatives"]
    margin = (final[users] * (final[items] - final[negatives])).sum(1)
    return nn.functional.softplus(-margin)


def lightgcn_losses(module: Any, data: Data) -> Tensor:
    return bpr(module.get_embedding(data["edge_index"]), data)


class Sage(nn.Module):
    """A recommender of SAGE layers over learned node embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = nn.Embedding(USERS + ITEMS, DIM)
        self.first, self.second = SAGEConv(DIM, DIM), SAGEConv(DIM, DIM)

    def forward(self, edge_index: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(self.nodes.weight, edge_index)), edge_index)


def sage_losses(module: Any, data: Data) -> Tensor:
    return bpr(module(data["edge_index"]), data)


def score(module: Any, data: Data, queries: Tensor) -> Tensor:
    final = module.get_embedding(data["edge_index"]) if isinstance(module, LightGCN) else module(data["edge_index"])
    return (final[queries[:, 0]] * final[queries[:, 1]]).sum(1)


def attached(kind: str, remove: Any = cut, **options: Any) -> AttachedProblem:
    torch.manual_seed(0)
    module = LightGCN(USERS + ITEMS, DIM, 2) if kind == "lightgcn" else Sage()
    losses = lightgcn_losses if kind == "lightgcn" else sage_losses
    chosen = AttachedOptions(tolerance=1e-9, **options)
    return attach(module.to(DTYPE), losses, whole_data(), remove=remove, penalty=0.5, outputs=score, options=chosen)


def dense_lightgcn(table: Tensor, pairs: Tensor, negatives: Tensor) -> Tensor:
    """The slow truth: mean over layers of the symmetrically normalised dense adjacency's powers."""
    adjacency = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=DTYPE)
    for u, i in pairs.tolist():
        adjacency[u, i] = adjacency[i, u] = 1.0
    scale = adjacency.sum(1).clamp(min=1).rsqrt()
    adjacency = scale[:, None] * adjacency * scale
    third = float(torch.tensor(1 / 3))  # PyG keeps the layers' weights in float32
    final = third * (table + adjacency @ table + adjacency @ adjacency @ table)
    losses = [
        torch.log1p(torch.exp(-(final[u] @ (final[i] - final[j]))))
        for (u, i), j in zip(pairs.tolist(), negatives.tolist(), strict=True)
    ]
    return torch.stack(losses)


def dense_sage(params: dict[str, Tensor], pairs: Tensor, negatives: Tensor) -> Tensor:
    adjacency = torch.zeros(USERS + ITEMS, USERS + ITEMS, dtype=DTYPE)
    for u, i in pairs.tolist():
        adjacency[u, i] = adjacency[i, u] = 1.0
    mean = adjacency / adjacency.sum(1, keepdim=True).clamp(min=1)

    def layer(name: str, x: Tensor) -> Tensor:
        neighbours = mean @ x @ params[f"{name}.lin_l.weight"].T + params[f"{name}.lin_l.bias"]
        return neighbours + x @ params[f"{name}.lin_r.weight"].T

    final = layer("second", torch.tanh(layer("first", params["nodes.weight"])))
    return bpr(final, {"pairs": pairs, "negatives": negatives})


def dense_losses(problem: AttachedProblem, kind: str, kept: Tensor) -> Tensor:
    if kind == "lightgcn":
        return dense_lightgcn(problem.params["embedding.weight"], PAIRS[kept], NEGATIVES[kept])
    return dense_sage(problem.params, PAIRS[kept], NEGATIVES[kept])


FORGOTTEN = (0, 4, 11)
FORGET = ForgetSet(records=FORGOTTEN)


@pytest.mark.parametrize("kind", ["lightgcn", "sage"])
def test_losses_equal_dense_message_passing_before_and_after(kind: str) -> None:
    problem = attached(kind)
    everything = torch.arange(len(PAIRS))
    kept = torch.tensor([i for i in range(len(PAIRS)) if i not in FORGOTTEN])
    for current, records in ((problem, everything), (problem.without(FORGET), kept)):
        expected = dense_losses(problem, kind, records)
        torch.testing.assert_close(current.record_losses(problem.params).detach(), expected, **EXACT64)


@pytest.mark.parametrize("kind", ["lightgcn", "sage"])
def test_an_edge_that_still_carries_messages_is_noticed(kind: str) -> None:
    right, wrong = (attached(kind, remove).without(FORGET) for remove in (cut, losses_only))
    difference = right.record_losses(right.params) - wrong.record_losses(wrong.params)
    assert difference.abs().max() > 1e-3
    queries = torch.cartesian_prod(torch.arange(USERS), torch.arange(USERS, USERS + ITEMS))
    assert (right.outputs(queries) - wrong.outputs(queries)).abs().max() > 1e-3
    assert torch.equal(attached(kind).outputs(queries), wrong.outputs(queries))


@pytest.mark.parametrize("kind", ["lightgcn", "sage"])
def test_reconverging_reaches_a_stationary_point_of_the_remaining_graph(kind: str) -> None:
    problem = attached(kind).fit()
    result = method("reconverge", accuracy=1e-8, max_iterations=500).forget(problem, FORGET)
    kept = torch.tensor([i for i in range(len(PAIRS)) if i not in FORGOTTEN])
    leaves = {name: value.clone().requires_grad_() for name, value in result.problem.params.items()}
    moved = problem.with_params(leaves)
    penalty = sum((0.25 * value.square().sum() for value in leaves.values()), torch.zeros((), dtype=DTYPE))
    value = dense_losses(moved, kind, kept).sum() + penalty
    gradients = torch.autograd.grad(value, list(leaves.values()))
    assert max(float(g.abs().max()) for g in gradients) < 1e-6
    retrained = Retrain(coupled=True).forget(problem, FORGET).problem
    queries = torch.cartesian_prod(torch.arange(USERS), torch.arange(USERS, USERS + ITEMS))
    torch.testing.assert_close(result.problem.outputs(queries), retrained.outputs(queries), **CONVERGED64)


def test_a_layer_that_caches_its_graph_is_refused() -> None:
    class Gcn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nodes, self.layer = nn.Embedding(USERS + ITEMS, DIM), GCNConv(DIM, DIM, cached=True)

        def forward(self, edge_index: Tensor) -> Tensor:
            return self.layer(self.nodes.weight, edge_index)

    with pytest.raises(ValueError, match="must not cache its graph.*in layer.*`cached=False`"):
        attach(Gcn(), sage_losses, whole_data(), remove=cut)
