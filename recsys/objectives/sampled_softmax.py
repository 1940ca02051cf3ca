"""Sampled softmax on cosine similarities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from recsys.graph import BipartiteGraph
from recsys.objectives.base import SampledObjective, register
from recsys.objectives.negatives import shared_negatives
from unlearn.invalid import require


@register
@dataclass(frozen=True)
class SampledSoftmax(SampledObjective):
    """Softmax over the item of an interaction and sampled ones, of cosines over `temperature`.

    Wu et al., "On the effectiveness of sampled softmax loss for item recommendation", 2022, arXiv 2201.02327.

    loss(u, i) = log(exp(c_ui / t) + sum_j exp(c_uj / t)) - c_ui / t,   c = cosine of the final embeddings,
    over `negatives` uniform items j shared by a batch. A negative that is the positive itself is left out.

    **Differences from the paper:** uniform negatives, so no correction for the sampling probability is due; L2 on
    the whole layer-0 table.
    """

    name = "sampled_softmax"
    l2: float = 1e-4
    temperature: float = 0.15
    negatives: int = 512

    def __post_init__(self) -> None:
        require(
            self,
            l2=("at least 0", self.l2 >= 0),
            temperature=("positive", self.temperature > 0),
            negatives=("at least 1", self.negatives >= 1),
        )

    def sampled_losses(
        self, users: Tensor, items: Tensor, graph: BipartiteGraph, records: Tensor, *, epoch: int, batch: int
    ) -> Tensor:
        against = shared_negatives(graph, self.negatives, seed=self.seed, epoch=epoch, batch=batch)
        user = normalize(users[graph.rows[records]], dim=1) / self.temperature
        cols = graph.cols[records]
        positive = (user * normalize(items[cols], dim=1)).sum(1, keepdim=True)
        negative = user @ normalize(items[against], dim=1).T
        negative = negative.masked_fill(cols.unsqueeze(1) == against, float("-inf"))
        return torch.logsumexp(torch.cat([positive, negative], 1), 1) - positive.squeeze(1)
