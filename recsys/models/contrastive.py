"""Models that also ask two views of every node to agree: the loss that they share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from recsys.graph import BipartiteGraph
from recsys.models.base import DIM, Recommender
from unlearn.invalid import Rules
from unlearn.params import Params
from unlearn.streams import uniforms


class ContrastiveRecommender(Recommender):
    """A model on a single table that adds to the loss of an interaction the InfoNCE of its two ends:

        own(u, i) = weight (c(u) + c(i)),   c(v) = log(exp(s_vv / t) + sum_{w != v} exp(s_vw / t)) - s_vv / t

    where s_vw is the cosine of v in one view and w in the other, t the temperature, and w runs over the nodes of v's
    kind that have interactions; each of these takes part in a batch by a draw of its own.

    Args:
        n_users, n_items: rows of the table.
        dim: its width.
        layers: of propagation, at least 1.
        weight: of the contrast beside the objective's loss of an interaction.
        temperature: of the softmax over similarities.
        negatives: of each kind and batch, on average; a kind of no more nodes takes part as a whole.
        seed: of everything random in the views; draws are keyed by the nodes' own ids.

    Raises:
        ValueError: an argument is out of range; the message lists every one.

    **Differences from the papers:** a node counts once for each of its interactions in a batch, not once a batch, so
    that the contrast is a sum over interactions like the rest of the objective; negatives are neither all nodes (SGL)
    nor those of the batch (SimGCL, XSimGCL) but drawn, so that they do not depend on who else is in the batch. The
    defaults are alike for all of these models, where the papers tune weight, temperature and noise by model and data.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        *,
        dim: int = DIM,
        layers: int = 3,
        weight: float = 0.1,
        temperature: float = 0.2,
        negatives: int = 2048,
        seed: int = 0,
    ) -> None:
        self.layers, self.weight, self.temperature = layers, weight, temperature
        self.negatives, self.seed = negatives, seed
        super().__init__(n_users, n_items, dim=dim)

    def _rules(self) -> Rules:
        return super()._rules() | {
            "layers": ("an integer of at least 1", self.layers >= 1),
            "weight": ("at least 0", self.weight >= 0),
            "temperature": ("positive", self.temperature > 0),
            "negatives": ("an integer of at least 1", self.negatives >= 1),
        }

    def reseeded(self, by: int) -> Self:
        other = type(self)(self.n_users, self.n_items, **self.arguments() | {"seed": self.seed + by})
        return other.to(self.table.device)

    @abstractmethod
    def views(self, table: Tensor, graph: BipartiteGraph, *, epoch: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Final embeddings as training sees them, and two views of every node; each [n_users + n_items, dim]."""

    def training_pass(
        self, params: Params, graph: BipartiteGraph, records: Tensor, *, epoch: int, batch: int
    ) -> tuple[Tensor, Tensor | None]:
        final, one, other = self.views(params["table"], graph, epoch=epoch, batch=batch)
        n = graph.n_users
        of_users, of_items = (
            info_nce(one[part], other[part], ends[records], among, temperature=self.temperature)
            for part, ends, among in zip(
                (slice(None, n), slice(n, None)),
                (graph.rows, graph.cols),
                self._negatives(graph, epoch, batch),
                strict=True,
            )
        )
        return final, self.weight * (of_users + of_items)

    def _negatives(self, graph: BipartiteGraph, epoch: int, batch: int) -> list[Tensor]:
        """User rows and item rows of the nodes that an epoch's batch contrasts with."""
        counts = graph.values.new_ones(graph.n_edges) if graph.weights is None else graph.weights.detach()
        chosen: list[Tensor] = []
        for kind, keys, ends in (("users", graph.user_keys, graph.rows), ("items", graph.item_keys, graph.cols)):
            present = counts.new_zeros(len(keys)).index_add(0, ends, counts) > 0
            drawn = uniforms(self.seed, f"contrast/{kind}", epoch, batch, keys) * len(keys) < self.negatives
            chosen.append((present & torch.from_numpy(np.asarray(drawn)).to(present.device)).nonzero().squeeze(1))
        return chosen


def info_nce(one: Tensor, other: Tensor, rows: Tensor, among: Tensor, *, temperature: float) -> Tensor:
    """van den Oord, Li and Vinyals, "Representation learning with contrastive predictive coding", 2018,
    arXiv 1807.03748: c(v) [r] for every v of `rows` [r] (see `ContrastiveRecommender`).

    `one`, `other` [n, d] are two views; `among` [m] the rows that v is contrasted with.
    """
    concerned, position = rows.unique(return_inverse=True)
    anchors = normalize(one[concerned], dim=1) / temperature
    positive = (anchors * normalize(other[concerned], dim=1)).sum(1)
    margin = torch.logsumexp(anchors @ normalize(other[among], dim=1).T, 1) - positive
    counted = torch.zeros(len(other), dtype=torch.bool, device=other.device).index_fill(0, among, True)[concerned]
    return torch.where(counted, margin, softplus(margin))[position]  # v itself counts once, drawn or not
