"""Weighted squares over all user-item pairs, at the price of the observed ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.objectives.base import Objective, register
from unlearn.invalid import require


@register
@dataclass(frozen=True)
class WholeData(Objective):
    """Squared error over all user-item pairs: 1 where there is an interaction, 0 of weight `a` where there is none.

    Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", 2008, with unit confidence;
    the Gram form is that of Chen et al., "Efficient neural matrix factorization without sampling", 2020.

    f(S) = sum_observed (1 - y)^2 + a sum_unobserved y^2
         = sum_observed [(1 - y)^2 - a y^2] + a tr(Z_U^T Z_U Z_I^T Z_I),          y = z_u . z_i

    so that all n_users x n_items pairs cost two d x d Gram matrices. f is 2a-strongly convex in the scores.

    **Differences from the paper:** one weight `a` for every unobserved pair; L2 on the layer-0 table.
    """

    name = "whole_data"
    at_rest = frozenset({"user", "item"})
    l2: float = 0.6
    a: float = 0.05

    def __post_init__(self) -> None:
        require(self, l2=("at least 0", self.l2 >= 0), a=("in (0, 1]", 0 < self.a <= 1))

    def record_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor | None = None
    ) -> Tensor:
        _, _, weights = graph.interactions(records)
        y = graph.scores(users, items, records)
        losses = (1.0 - y).square() - self.a * y.square()
        return losses if weights is None else losses * weights

    def background(self, users: Tensor, items: Tensor, graph: BipartiteGraph) -> Tensor:
        return self.a * ((users.T @ users) * (items.T @ items)).sum()

    def slopes(self, y: Tensor, graph: BipartiteGraph) -> Tensor:
        """Derivative [e] of the observed part with respect to the observed scores y [e]."""
        slopes = (2.0 - 2.0 * self.a) * y - 2.0
        return slopes if graph.weights is None else slopes * graph.weights

    def value_and_gradient(self, users: Tensor, items: Tensor, graph: BipartiteGraph) -> tuple[float, Tensor, Tensor]:
        users, items = users.contiguous(), items.contiguous()
        y = graph.edge_products(users, items)
        gram_users, gram_items = users.T @ users, items.T @ items
        y64 = y.double()
        losses = (1.0 - y64).square() - self.a * y64.square()
        if graph.weights is not None:
            losses = losses * graph.weights
        value = float(losses.sum() + self.a * (gram_users.double() * gram_items.double()).sum())
        slopes = self.slopes(y, graph)
        of_users = torch.addmm(users @ (2.0 * self.a * gram_items), graph.interaction_matrix(slopes), items)
        of_items = torch.addmm(items @ (2.0 * self.a * gram_users), graph.transposed_matrix(slopes), users)
        return value, of_users, of_items
