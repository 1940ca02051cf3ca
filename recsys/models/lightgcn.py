"""LightGCN."""

from __future__ import annotations

from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.models.base import DIM, LinearRecommender, register
from unlearn.invalid import Rules


@register
class LightGCN(LinearRecommender):
    """Embeddings propagated over the graph of interactions, without weights or nonlinearities; the mean of all layers.

    He et al., "LightGCN: Simplifying and powering graph convolution network", 2020, arXiv 2002.02126.

    Z = 1 / (L + 1) sum_{l=0..L} A^l E, score(u, i) = z_u . z_i, with E [n_users + n_items, dim] the layer-0 table.

    **Differences from the paper:** none in the model; training is elsewhere (`recsys.train`).
    """

    name = "lightgcn"

    def __init__(self, n_users: int, n_items: int, *, dim: int = DIM, layers: int = 3) -> None:
        self.layers = layers
        super().__init__(n_users, n_items, dim=dim)

    def _rules(self) -> Rules:
        return super()._rules() | {"layers": ("an integer of at least 0", self.layers >= 0)}

    def propagate(self, graph: BipartiteGraph, x: Tensor) -> Tensor:
        return mean_of_layers(graph, x, self.layers)

    def polynomial(self) -> tuple[float, ...]:
        return (1.0 / (self.layers + 1),) * (self.layers + 1)


def mean_of_layers(graph: BipartiteGraph, x: Tensor, layers: int) -> Tensor:
    """1 / (L + 1) sum_{l=0..L} A^l x for x [n_users + n_items, k]."""
    total = x
    for _ in range(layers):  # Horner: x + A (x + A (x + ...))
        total = x + graph.propagate(total)
    return total / (layers + 1)
