"""Bayesian personalised ranking."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from recsys.graph import BipartiteGraph
from recsys.objectives.base import SampledObjective, register
from recsys.objectives.negatives import uniform_negatives
from unlearn.invalid import require


@register
@dataclass(frozen=True)
class BPR(SampledObjective):
    """An interaction is to score above sampled items: logistic loss of the difference.

    Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", 2009, arXiv 1205.2618.

    loss(u, i) = mean over negatives j of softplus(z_u . z_j - z_u . z_i)

    **Differences from the paper:** negatives are keyed (`recsys.objectives.negatives`); L2 falls on the whole
    layer-0 table instead of the sampled rows; several negatives a record are averaged.
    """

    name = "bpr"
    l2: float = 1e-3
    negatives: int = 1

    def __post_init__(self) -> None:
        require(self, l2=("at least 0", self.l2 >= 0), negatives=("at least 1", self.negatives >= 1))

    def sampled_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor, *, epoch: int, batch: int
    ) -> Tensor:
        against = uniform_negatives(graph, records, self.negatives, seed=self.seed, epoch=epoch)
        user = users[graph.rows[records]]
        positive = (user * items[graph.cols[records]]).sum(1, keepdim=True)
        negative = (user.unsqueeze(1) * items[against]).sum(2)
        return softplus(negative - positive).mean(1)
