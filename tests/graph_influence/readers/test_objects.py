from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix, csr_array
from torch_geometric.data import Data

from graph_influence.errors import InvalidGraph
from graph_influence.readers import from_edge_index, from_networkx, from_pyg, from_scipy
from tests.graph_influence.listing import listed
from unlearn.vocabulary import Vocabulary


def test_networkx():
    directed = nx.DiGraph([("a", "b"), ("b", "c")])
    directed.add_node("d")
    graph = from_networkx(directed)
    assert listed(graph) == [("a", "b", 1.0), ("b", "c", 1.0)]
    assert graph.nodes.take(range(4)) == ["a", "b", "c", "d"]
    edges = nx.Graph()
    edges.add_edge(2, 1, chance=0.5)
    edges.add_edge(1, 7, chance=0.25)
    assert listed(from_networkx(edges, probability="chance")) == [(1, 2, 0.5), (1, 7, 0.25), (2, 1, 0.5), (7, 1, 0.25)]
    twice = nx.MultiDiGraph([(0, 1), (0, 1)])
    assert listed(from_networkx(twice)) == [(0, 1, 1.0)]
    with pytest.raises(InvalidGraph, match=r"at most one arc \(1 bad, edge 1\)"):
        from_networkx(twice, parallel="raise")
    edges.add_edge(3, 7)
    with pytest.raises(InvalidGraph, match=r"from 0 to 1 \(1 bad, edge 2\)"):
        from_networkx(edges, probability="chance")
    with pytest.raises(InvalidGraph, match="relabel"):
        from_networkx(nx.Graph([((0, 1), "a")]))


def test_pyg():
    edges = torch.tensor([[0, 2, 2], [1, 0, 1]])
    weights = torch.tensor([[0.5], [0.25], [1.0]])
    data = Data(edge_index=edges, edge_attr=weights, num_nodes=4)
    assert listed(from_pyg(data)) == [(0, 1, 1.0), (2, 0, 1.0), (2, 1, 1.0)]
    assert listed(from_pyg(data, probability="edge_attr")) == [(0, 1, 0.5), (2, 0, 0.25), (2, 1, 1.0)]
    assert from_pyg(data).num_nodes == 4
    assert listed(from_edge_index(edges, 3, weights[:, 0])) == listed(from_pyg(data, probability="edge_attr"))
    with pytest.raises(InvalidGraph, match="`chance` must exist"):
        from_pyg(data, probability="chance")
    with pytest.raises(InvalidGraph, match="`edge_index` and `num_nodes`"):
        from_pyg(Data())
    with pytest.raises(InvalidGraph, match="integer"):
        from_edge_index(edges.float(), 3)
    with pytest.raises(InvalidGraph, match="from 0 to 1 "):
        from_edge_index(edges, 2)


def test_scipy():
    dense = np.array([[0, 0.5, 0], [0, 0, 0], [0.25, 1, 0.75]])
    expected = [(0, 1, 0.5), (2, 0, 0.25), (2, 1, 1.0)]
    for matrix in (csr_array(dense), coo_matrix(dense)):
        assert listed(from_scipy(matrix)) == expected
    names = Vocabulary(["a", "b", "c"])
    assert listed(from_scipy(csr_array(dense), nodes=names)) == [("a", "b", 0.5), ("c", "a", 0.25), ("c", "b", 1.0)]
    with pytest.raises(InvalidGraph, match="for each of 3 nodes"):
        from_scipy(csr_array(dense[:2]), nodes=names)
    with pytest.raises(InvalidGraph, match="numbers from 0 to 1"):
        from_scipy(csr_array(dense * 2))
