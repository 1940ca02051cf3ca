"""SGL with edge dropout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.models.base import register
from recsys.models.contrastive import ContrastiveRecommender
from recsys.models.lightgcn import mean_of_layers
from unlearn.invalid import Rules
from unlearn.streams import uniforms


@register
class SGL(ContrastiveRecommender):
    """LightGCN that also contrasts two views of the graph, each without a random share of the interactions.

    Wu et al., "Self-supervised graph learning for recommendation", 2021, arXiv 2010.10783 (its edge dropout).

    Z = 1 / (L + 1) sum_{l=0..L} A^l E as in LightGCN. The two views of an epoch are the same with A rebuilt, degrees
    included, from the interactions that two independent draws leave; each draw drops a share `drop` of them.

    Args:
        n_users, n_items: rows of the table.
        drop: share of the interactions that a view leaves out, in [0, 1).
        arguments: those of `ContrastiveRecommender`, which also tells the loss.

    Raises:
        ValueError: an argument is out of range; the message lists every one.

    **Differences from the paper:** those of `ContrastiveRecommender`.
    """

    name = "sgl"

    def __init__(self, n_users: int, n_items: int, *, drop: float = 0.1, **arguments: Any) -> None:
        self.drop = drop
        super().__init__(n_users, n_items, **arguments)

    def _rules(self) -> Rules:
        return super()._rules() | {"drop": ("at least 0 and below 1", 0 <= self.drop < 1)}

    def forward(self, graph: BipartiteGraph) -> Tensor:
        return mean_of_layers(graph, self.table, self.layers)

    def views(self, table: Tensor, graph: BipartiteGraph, *, epoch: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        final, one, other = (
            mean_of_layers(seen, table, self.layers)
            for seen in (graph, self.dropped(graph, epoch, 0), self.dropped(graph, epoch, 1))
        )
        return final, one, other

    def dropped(self, graph: BipartiteGraph, epoch: int, view: int) -> BipartiteGraph:
        """The graph of one of an epoch's views, degrees rebuilt; each interaction stays by a draw of its own."""
        users = graph.user_keys[graph.rows.cpu().numpy()]
        items = graph.item_keys[graph.cols.cpu().numpy()]
        stays = torch.from_numpy(uniforms(self.seed, "edges", epoch, view, users, items) >= self.drop)
        return graph.weighted(stays.to(graph.values))
