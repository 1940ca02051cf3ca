"""How the final embeddings of the shards become one table of users and one of items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.objectives import Objective, SampledObjective
from unlearn.invalid import require
from unlearn.params import Params, differentiate, flatten, unflatten
from unlearn.solvers.adam import Adam
from unlearn.streams import normals

Side = Literal["users", "items"]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Final embeddings of every shard's own nodes, of one side: users or items.

    `rows` are the nodes' rows [a_k] in the whole data, `tables` their embeddings [a_k, d] in shard k; `size` is the
    number of rows in the whole data. There is at least one shard.
    """

    rows: list[Tensor]
    tables: list[Tensor]
    size: int

    def spread(self, values: Tensor) -> Tensor:
        """Sums [size, ...] over the shards of `values` [a_1 + a_2 + ..., ...]."""
        return values.new_zeros(self.size, *values.shape[1:]).index_add(0, torch.cat(self.rows), values)


class Aggregation(ABC):
    """A rule that joins shards; what it learns is learned anew after every deletion, from remaining data alone."""

    @abstractmethod
    def fit(self, users: Pieces, items: Pieces, graph: BipartiteGraph, objective: Objective, *, seed: int) -> Params:
        """What the rule learns from all data, with the shards as they are; empty where it learns nothing."""

    @abstractmethod
    def join(self, pieces: Pieces, side: Side, params: Params) -> Tensor:
        """Embeddings [size, width] whose dot products over both sides are the ensemble's scores."""


@dataclass(frozen=True)
class Mean(Aggregation):
    """score(u, i) = 1 / K_u sum_k z_u^k . z_i^k over the K_u shards that hold u; one that lacks i counts as 0.

    As factors: the shards' embeddings side by side, of width K d.
    """

    def fit(self, users: Pieces, items: Pieces, graph: BipartiteGraph, objective: Objective, *, seed: int) -> Params:
        return {}

    def join(self, pieces: Pieces, side: Side, params: Params) -> Tensor:
        whole = [
            table.new_zeros(pieces.size, table.shape[1]).index_copy(0, rows, table)
            for rows, table in zip(pieces.rows, pieces.tables, strict=True)
        ]
        joined = torch.cat(whole, dim=1)
        if side == "items":
            return joined
        held = torch.bincount(torch.cat(pieces.rows), minlength=pieces.size)
        return joined / held.clamp_min(1).to(joined.dtype)[:, None]


@dataclass(frozen=True, kw_only=True)
class Attention(Aggregation):
    """Embeddings mapped into one space, shard by shard, and averaged with weights that each node chooses.

    Chen et al., "Recommendation unlearning", 2022, arXiv 2201.06820:

        m^k = z^k W_k + b_k,     alpha = softmax_k h^T relu(m^k A + a),     z = sum_k alpha^k m^k

    with W_k, b_k common to users and items and A [d, d/2], a, h of each side's own, trained by the recommender's own
    objective over all remaining data while the shards stand still: `epochs` full-batch Adam steps of rate `lr`.

    Raises:
        ValueError: listing every argument that is out of range.

    **Differences from the paper:** a node attends only to shards that hold it; the others know nothing of it. W_k
    starts as the identity and h at zero, which is the mean; the objective's L2 draws them towards that start. Steps
    take all data at once and drop nothing out, so that the same data give the same bits.
    """

    epochs: int = 50
    lr: float = 1e-2

    def __post_init__(self) -> None:
        require(self, epochs=("positive", self.epochs > 0), lr=("positive", self.lr > 0))

    def fit(self, users: Pieces, items: Pieces, graph: BipartiteGraph, objective: Objective, *, seed: int) -> Params:
        start = _initial(len(users.tables), users.tables[0], seed) | objective.initial(graph, seed)
        x = flatten(start)
        origin = x.clone()
        adam = Adam(x, lr=self.lr)

        def loss(params: Params, epoch: int) -> Tensor:
            joined = self.join(users, "users", params), self.join(items, "items", params)
            return _loss(objective.bound(params), *joined, graph, epoch)

        for epoch in range(1, self.epochs + 1):
            gradient = differentiate(partial(loss, epoch=epoch), unflatten(x, start))[1]
            adam.step(x, gradient.add_(x - origin, alpha=2.0 * objective.l2))
        return unflatten(x, start)

    def join(self, pieces: Pieces, side: Side, params: Params) -> Tensor:
        mapped = torch.cat(
            [
                torch.addmm(shift, table, weight)
                for table, weight, shift in zip(pieces.tables, params["maps"], params["shifts"], strict=True)
            ]
        )
        hidden = torch.addmm(params[f"{side}.shift"], mapped, params[f"{side}.map"]).relu()
        logits = hidden @ params[f"{side}.choice"]
        rows = torch.cat(pieces.rows)
        highest = logits.new_zeros(pieces.size).scatter_reduce(0, rows, logits.detach(), "amax", include_self=False)
        weights = (logits - highest[rows]).exp()
        weights = weights / pieces.spread(weights)[rows]
        return pieces.spread(mapped * weights[:, None])


def _initial(shards: int, like: Tensor, seed: int) -> Params:
    width = like.shape[1]
    hidden = max(1, width // 2)
    params = {"maps": torch.eye(width).repeat(shards, 1, 1), "shifts": torch.zeros(shards, width)}
    for side in ("users", "items"):
        draw = normals(seed, f"attention/{side}", np.arange(width)[:, None], np.arange(hidden)[None, :])
        params |= {
            f"{side}.map": torch.from_numpy(draw / width**0.5),
            f"{side}.shift": torch.zeros(hidden),
            f"{side}.choice": torch.zeros(hidden),
        }
    return {name: value.to(like) for name, value in params.items()}


def _loss(objective: Objective, users: Tensor, items: Tensor, graph: BipartiteGraph, epoch: int) -> Tensor:
    """A scalar whose gradient is that of the objective without its penalty; negatives are drawn for the epoch."""
    if isinstance(objective, SampledObjective):
        records = torch.arange(graph.n_edges, device=users.device)
        return objective.sampled_losses(users, items, graph, records, epoch=epoch, batch=0).sum()
    _, of_users, of_items = objective.value_and_gradient(users.detach(), items.detach(), graph)
    return (users * of_users).sum() + (items * of_items).sum()
