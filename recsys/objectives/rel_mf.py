"""Weighted squares over all pairs, observed ones by inverse propensity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.objectives.base import Objective, register
from unlearn.invalid import require


@register
@dataclass(frozen=True)
class RelMF(Objective):
    """Squared error over all user-item pairs, interactions weighted by inverse propensity of being seen.

    Saito et al., "Unbiased recommender learning from missing-not-at-random implicit feedback", 2020,
    arXiv 1909.03601.

    An item is seen with propensity t_i = max(clip, (n_i / max_j n_j)^power), n_i its interactions. With Y the observed
    pairs and R the relevant ones, E[Y / t] = R, so what follows estimates the loss over R without its bias:

        f = sum_{u,i} Y / t_i (1 - y)^2 + a (1 - Y / t_i) y^2
          = sum_observed [(1 - y)^2 - a y^2] / t_i + a tr(Z_U^T Z_U Z_I^T Z_I),          y = z_u . z_i

    which is convex in the scores. Propensities are counted in the graph, so on remaining data they are those of the
    remaining data, the most popular item's count included: deleting one interaction moves the weight of others.
    `power` 0 gives `whole_data`.

    **Differences from the paper:** scores are not squashed by a sigmoid, which makes the sum over all pairs two Gram
    matrices instead of a sample; irrelevance has a weight `a`, 1 in the paper; L2 on the layer-0 table.
    """

    name = "rel_mf"
    at_rest = frozenset({"user", "item"})
    l2: float = 0.6
    a: float = 0.05
    power: float = 0.5
    clip: float = 0.1
    seen: Tensor | None = field(default=None, repr=False, compare=False)  # propensities, set by `counted`

    def __post_init__(self) -> None:
        require(
            self,
            l2=("at least 0", self.l2 >= 0),
            a=("in (0, 1]", 0 < self.a <= 1),
            power=("at least 0", self.power >= 0),
            clip=("in (0, 1]", 0 < self.clip <= 1),
        )

    def counted(self, graph: BipartiteGraph) -> Self:
        return replace(self, seen=self.propensities(graph))

    def propensities(self, graph: BipartiteGraph) -> Tensor:
        """t [n_items], differentiable in the graph's weights."""
        if self.seen is not None:
            return self.seen
        counts = graph.values.new_ones(graph.n_edges) if graph.weights is None else graph.weights
        popularity = counts.new_zeros(graph.n_items).index_add(0, graph.cols, counts)
        share = (popularity / popularity.max()).clamp_min(self.clip ** (1.0 / self.power) if self.power else 1.0)
        return share.pow(self.power)

    def record_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor | None = None
    ) -> Tensor:
        _, cols, weights = graph.interactions(records)
        y = graph.scores(users, items, records)
        losses = ((1.0 - y).square() - self.a * y.square()) / self.propensities(graph)[cols]
        return losses if weights is None else losses * weights

    def background(self, users: Tensor, items: Tensor, graph: BipartiteGraph) -> Tensor:
        return self.a * ((users.T @ users) * (items.T @ items)).sum()
