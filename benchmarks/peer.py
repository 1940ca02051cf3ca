"""PyG's LightGCN trained with BPR, as its own example does it: what the benchmarks compare with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.nn import LightGCN
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from recsys.data import Interactions


class Peer:
    """`torch_geometric.nn.LightGCN` with its own `recommendation_loss`, Adam, and one uniform negative a positive.

    It gets the faster of the ways in which PyG propagates on a CPU: a sparse matrix in place of an edge list, and
    normalised once rather than in every forward.
    """

    def __init__(self, data: Interactions, *, dim: int, layers: int, learning_rate: float, seed: int) -> None:
        torch.manual_seed(seed)  # PyG initialises from the global generator
        self._generator = torch.Generator().manual_seed(seed)
        self._n_users, self._n_items = data.n_users, data.n_items
        self._positives = torch.from_numpy(data.user_rows()), torch.from_numpy(data.indices)
        one_way = torch.stack([self._positives[0], self._positives[1] + data.n_users])
        n_nodes = data.n_users + data.n_items
        edges, weights = gcn_norm(torch.cat([one_way, one_way.flip(0)], 1), num_nodes=n_nodes, add_self_loops=False)
        matrix = torch.sparse_coo_tensor(edges, weights, (n_nodes, n_nodes), check_invariants=True)
        self._graph = matrix.coalesce().to_sparse_csr()
        self._model = LightGCN(n_nodes, dim, layers, normalize=False)
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=learning_rate)

    def epoch(self, batch_size: int) -> None:
        users, items = self._positives
        order = torch.randperm(len(users), generator=self._generator)
        for batch in order.split(batch_size):
            negatives = torch.randint(self._n_items, (len(batch),), generator=self._generator)
            user, positive, negative = users[batch], items[batch] + self._n_users, negatives + self._n_users
            pairs = torch.stack([user.repeat(2), torch.cat([positive, negative])])
            self._optimizer.zero_grad()
            better, worse = self._model(self._graph, edge_label_index=pairs).chunk(2)
            nodes = torch.cat([user, positive, negative]).unique()
            self._model.recommendation_loss(better, worse, node_id=nodes).backward()
            self._optimizer.step()

    @torch.no_grad()
    def embeddings(self) -> tuple[Tensor, Tensor]:
        final = self._model.get_embedding(self._graph)
        return final[: self._n_users], final[self._n_users :]
