"""Softmax over all items, a user's interactions as counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.objectives.base import Objective, register
from recsys.objectives.log_sum_exp import log_sum_exp
from unlearn.invalid import require

_BLOCK = 2**25  # scores held at a time: 128 MiB in float32


@register
@dataclass(frozen=True)
class Multinomial(Objective):
    """Softmax over all items, for each interaction.

    Liang et al., "Variational autoencoders for collaborative filtering", 2018, arXiv 1802.05814 (its likelihood).

    loss(u, i) = log sum_j exp(z_u . z_j) - z_u . z_i, summed over interactions.

    **Differences from the paper:** the likelihood alone, on factorised scores; computed in blocks of users, in
    float64 sums, so that memory does not grow with n_users x n_items, for gradients and Hessian products neither.
    """

    name = "multinomial"
    at_rest = frozenset({"user"})  # an item without interactions still stands in every denominator
    l2: float = 1.0

    def __post_init__(self) -> None:
        require(self, l2=("at least 0", self.l2 >= 0))

    def record_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor | None = None
    ) -> Tensor:
        rows, _, weights = graph.interactions(records)
        concerned, position = rows.unique(return_inverse=True)
        step = max(1, _BLOCK // max(graph.n_items, 1))
        present = torch.ones(graph.n_items, dtype=torch.bool, device=items.device)
        present[graph.forgotten_items] = False
        total = log_sum_exp(users[concerned], items[present], step)
        losses = total[position] - graph.scores(users, items, records)
        return losses if weights is None else losses * weights

    def value_and_gradient(self, users: Tensor, items: Tensor, graph: BipartiteGraph) -> tuple[float, Tensor, Tensor]:
        users, items = users.contiguous(), items.contiguous()
        ones = users.new_ones(graph.n_edges) if graph.weights is None else graph.weights.detach()
        counts = users.new_zeros(graph.n_users).index_add(0, graph.rows, ones)
        value = -float((graph.edge_products(users, items).double() * ones).sum())
        of_users = graph.interaction_matrix(-ones) @ items
        of_items = graph.transposed_matrix(-ones) @ users
        step = max(1, _BLOCK // max(graph.n_items, 1))
        concerned = counts.nonzero().squeeze(1)
        scores = users.new_empty(min(step, len(concerned)), graph.n_items)
        forgotten = graph.forgotten_items
        for rows in concerned.split(step):
            part, weight = users[rows], counts[rows]
            block = torch.mm(part, items.T, out=scores[: len(part)])
            block.index_fill_(1, forgotten, float("-inf"))
            peak = block.amax(1, keepdim=True)
            total = block.sub_(peak).exp_().sum(1)
            value += float((weight * (total.log() + peak.squeeze(1))).double().sum())
            block.mul_((weight / total).unsqueeze(1))
            of_users.index_add_(0, rows, block @ items)
            of_items.addmm_(block.T, part)
        return value, of_users, of_items
