from __future__ import annotations

import pytest
import torch

from recsys.data import from_edge_index, from_hetero
from recsys.errors import InvalidInteractions

EDGES = torch.tensor([[2, 0, 0], [1, 3, 0]])


def rows(data):
    return list(data.frame().itertuples(index=False, name=None))


def hetero():
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["user"].num_nodes = 4
    data["item"].num_nodes = 5
    data["user", "rates", "item"].edge_index = EDGES
    data["user", "rates", "item"].stars = torch.tensor([1.0, 2.0, 3.0])
    data["user", "rates", "item"].at = torch.tensor([7, 8, 9])
    data["item", "rated_by", "user"].edge_index = EDGES.flip(0)
    data["user", "knows", "user"].edge_index = torch.tensor([[3, 0], [1, 3]])
    return data


def test_edges_become_interactions_of_all_rows():
    data = from_edge_index(EDGES, 4, 5)
    assert (data.n_users, data.n_items) == (4, 5)
    assert rows(data) == [(0, 0), (0, 3), (2, 1)]


def test_homogeneous_numbering_in_either_direction():
    shifted = EDGES + torch.tensor([[0], [4]])
    both = torch.cat([shifted, shifted.flip(0)], dim=1)
    for edges in (shifted, shifted.flip(0), both):
        assert from_edge_index(edges, 4, 5, homogeneous=True).digest() == from_edge_index(EDGES, 4, 5).digest()
    with pytest.raises(InvalidInteractions, match=r"a user and an item \(1 bad, edge 3\)"):
        from_edge_index(torch.cat([shifted, torch.tensor([[0], [1]])], dim=1), 4, 5, homogeneous=True)


def test_bad_edges_are_listed():
    with pytest.raises(InvalidInteractions) as caught:
        from_edge_index(torch.tensor([[0, 0, 9, -1], [1, 1, 1, 7]]), 4, 5)
    for part in ("`user` must not be negative (1 bad, edge 3)", "`user` must be in", "`item` must be in", "only once"):
        assert part in str(caught.value)
    with pytest.raises(InvalidInteractions, match=r"\[2, E\]"):
        from_edge_index(torch.zeros(3, 2), 4, 5)


def test_hetero_data_with_ties_and_attributes():
    data = from_hetero(hetero(), weight="stars", time="at")
    assert rows(data) == [(0, 0, 3, 9), (0, 3, 2, 8), (2, 1, 1, 7)]
    assert data.ties.tolist() == [[0, 3], [3, 1]]
    assert (data.n_users, data.n_items) == (4, 5)


def test_hetero_problems_come_together():
    graph = hetero()
    graph["user", "likes", "item"].edge_index = EDGES
    graph["user", "trusts", "user"].edge_index = torch.tensor([[0], [1]])
    with pytest.raises(InvalidInteractions) as caught:
        from_hetero(graph)
    assert [part in str(caught.value) for part in ("one edge type from user to item", "at most one")] == [True] * 2
    with pytest.raises(InvalidInteractions, match=r"\['plays'\] must exist"):
        from_hetero(hetero(), weight="plays")
    with pytest.raises(InvalidInteractions, match="node type `movie`"):
        from_hetero(hetero(), item="movie")


def test_edges_and_attributes_of_the_wrong_shape_are_problems():
    data = hetero()
    data["user", "rates", "item"].stars = torch.rand(3, 2)
    data["user", "rates", "item"].at = torch.arange(2)
    data["user", "knows", "user"].edge_index = torch.rand(2, 3)
    with pytest.raises(InvalidInteractions) as caught:
        from_hetero(data, weight="stars", time="at")
    assert len(caught.value.problems) == 3
    for part in ("integer [2, E] (got torch.float32 [2, 3])", "`stars` must hold a number", "`at` must hold a number"):
        assert part in str(caught.value)
    column = hetero()
    column["user", "rates", "item"].stars = torch.tensor([[1.0], [2.0], [3.0]])
    assert rows(from_hetero(column, weight="stars")) == rows(from_hetero(hetero(), weight="stars"))
    for edges in (torch.tensor([0, 1]), EDGES.T, EDGES.double()):
        data["user", "rates", "item"].edge_index = edges
        with pytest.raises(InvalidInteractions, match=r"integer \[2, E\]"):
            from_hetero(data)
    del data["user", "rates", "item"].edge_index
    with pytest.raises(InvalidInteractions, match=r"`edge_index` of .* must exist"):
        from_hetero(data)
