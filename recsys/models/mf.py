"""Matrix factorisation: the model without a graph."""

from __future__ import annotations

from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.models.base import LinearRecommender, register


@register
class MF(LinearRecommender):
    """Matrix factorisation: a vector for each user and item, and nothing passed between them.

    Koren, Bell and Volinsky, "Matrix factorization techniques for recommender systems", 2009.

    score(u, i) = e_u . e_i. **Differences from the paper:** no biases.
    """

    name = "mf"

    def propagate(self, graph: BipartiteGraph, x: Tensor) -> Tensor:
        return x

    def polynomial(self) -> tuple[float, ...]:
        return (1.0,)
