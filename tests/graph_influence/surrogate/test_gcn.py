"""The network of DiffIM: the convolutions of PyTorch Geometric, and gradients in everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.nn import GCNConv

from graph_influence.surrogate import GCN, Surrogate, TensorGraph
from graph_influence.surrogate.propagation import Propagation
from tests.graph_influence.surrogate.contract import SurrogateContract
from tests.oracles.cascades import random_graph
from tests.tolerances import EXACT64


class TestContract(SurrogateContract):
    @pytest.fixture
    def surrogate(self) -> Surrogate:
        return GCN(depth=3, width=8, seed=1).double()


def test_it_has_the_size_that_was_published():
    assert sum(p.numel() for p in GCN().parameters()) == 82_945


@pytest.mark.parametrize("seed", range(8))
def test_it_equals_pytorch_geometric(seed):
    social = random_graph(seed)
    graph, network = TensorGraph.of(social), GCN(depth=4, width=8, seed=seed).double()
    with torch.no_grad():
        for layer in network.layers:
            layer.bias.normal_(generator=torch.Generator().manual_seed(seed))
    seeds = graph.seeds(np.array([0]), np.array([1]))
    for found, s in zip(network(graph, seeds), seeds, strict=True):
        hidden = s[:, None]
        for layer in network.layers:
            theirs = GCNConv(layer.in_features, 8).double()
            theirs.load_state_dict({"lin.weight": layer.weight, "bias": layer.bias})
            hidden = theirs(hidden, torch.stack([graph.source, graph.target]), graph.probability).relu()
        torch.testing.assert_close(found, network.readout(hidden)[:, 0], **EXACT64)


def test_propagation_has_derivatives_of_both_kinds_and_of_second_order():
    graph = TensorGraph.of(random_graph(12))
    along, random = Propagation.of(graph, 2), torch.Generator().manual_seed(0)
    shapes = (2 * len(graph.source),), (2 * graph.num_nodes, 3)
    given = tuple(torch.rand(*shape, generator=random, dtype=torch.float64).requires_grad_() for shape in shapes)
    assert torch.autograd.gradcheck(along, given, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(along, given)


def test_arguments():
    with pytest.raises(ValueError, match="`depth` and `width` must be at least 1 for `gcn` .got 0 and 128."):
        GCN(depth=0)
