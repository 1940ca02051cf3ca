"""SimGCL."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from recsys.graph import BipartiteGraph
from recsys.models.base import register
from recsys.models.contrastive import ContrastiveRecommender
from recsys.models.lightgcn import mean_of_layers
from unlearn.invalid import Rules
from unlearn.streams import bits


@register
class SimGCL(ContrastiveRecommender):
    """LightGCN that also contrasts two views with random noise on every layer.

    Yu et al., "Are graph augmentations necessary? Simple graph contrastive learning for recommendation", 2022,
    arXiv 2112.08679.

    Z = 1 / L sum_{l=1..L} A^l E. A view is the same with noise on every layer:

        X^l = A X^(l-1) + eps sign(A X^(l-1)) * N^l,   N^l uniform in [0, 1)^dim, its rows scaled to length 1

    Noise is keyed by (seed, epoch, batch, view, layer, the node's id, column). A row of zeros without edges stays
    zero, noise and all.

    Args:
        n_users, n_items: rows of the table.
        eps: length of the noise, at least 0.
        arguments: those of `ContrastiveRecommender`, which also tells the loss.

    Raises:
        ValueError: an argument is out of range; the message lists every one.

    **Differences from the paper:** those of `ContrastiveRecommender`. As in its released code, the table itself is
    not among the layers that are averaged.
    """

    name = "simgcl"

    def __init__(self, n_users: int, n_items: int, *, eps: float = 0.1, **arguments: Any) -> None:
        self.eps = eps
        super().__init__(n_users, n_items, **arguments)

    def _rules(self) -> Rules:
        return super()._rules() | {"eps": ("at least 0", self.eps >= 0)}

    def forward(self, graph: BipartiteGraph) -> Tensor:
        return graph.propagate(mean_of_layers(graph, self.table, self.layers - 1))

    def views(self, table: Tensor, graph: BipartiteGraph, *, epoch: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        final = graph.propagate(mean_of_layers(graph, table, self.layers - 1))
        one, other = (
            torch.stack(self.noisy_layers(table, graph, epoch=epoch, batch=batch, view=view)).mean(0)
            for view in range(2)
        )
        return final, one, other

    def noisy_layers(self, table: Tensor, graph: BipartiteGraph, *, epoch: int, batch: int, view: int) -> list[Tensor]:
        """X^1, ..., X^L, each [n_users + n_items, dim]."""
        layers: list[Tensor] = []
        x = table
        for layer in range(self.layers):
            x = graph.propagate(x)
            x = x + self.eps * x.sign() * self._directions(graph, x, epoch, batch, view, layer)
            layers.append(x)
        return layers

    def _directions(self, graph: BipartiteGraph, like: Tensor, *counters: int) -> Tensor:
        """N^l [n_users + n_items, dim]; 16 bits an entry, so that one draw makes four."""
        width = like.shape[1]
        columns = np.arange(-(-width // 4))[None, :]
        words = np.concatenate(
            [
                bits(self.seed, f"noise/{kind}", *counters, keys[:, None], columns)
                for kind, keys in (("users", graph.user_keys), ("items", graph.item_keys))
            ]
        )
        entries = torch.from_numpy(words.astype("<u8").view("<u2")[:, :width].astype(np.float32) + 0.5)
        return normalize(entries.to(like), dim=1)
