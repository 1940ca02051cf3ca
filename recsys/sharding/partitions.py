"""Which shard an interaction belongs to, and what that depends on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np

from recsys.data.interactions import Interactions
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.ranking import Rows
from recsys.sharding.clustering import Costs, Labels, balanced_clusters, means, squared_distances
from recsys.train import TrainingOptions
from unlearn.invalid import Rules, require
from unlearn.streams import integers, uniforms

By = Literal["users", "items", "interactions"]


@dataclass(frozen=True, kw_only=True)
class Partition(ABC):
    """A rule that divides interactions into disjoint shards, whole users or whole items together or each alone.

    The seed is the rule's own, so that training from another start divides alike.
    """

    shards: int = 10
    by: By = "users"
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, **self._rules())

    def _rules(self) -> Rules:
        """What its arguments must be, and whether they are."""
        return {"shards": ("a positive integer", self.shards >= 1)}

    @property
    def exact(self) -> bool:
        """Whether a deletion leaves the shards that the remaining data alone would have been divided into."""
        return True

    @abstractmethod
    def assign(self, data: Interactions) -> Rows:
        """Shard of each interaction [nnz], in the data's order."""


@dataclass(frozen=True, kw_only=True)
class Hashed(Partition):
    """By a keyed draw from the external id: nobody's shard depends on anybody else.

    Bourtoule et al., "Machine unlearning", 2021, arXiv 1912.03817. Shards are even up to the luck of the draw; shards
    of exactly equal size would already tell how many were there before.
    """

    def assign(self, data: Interactions) -> Rows:
        keys = {"users": data.users.keys[data.user_rows()], "items": data.items.keys[data.item_rows()]}
        of = list(keys.values()) if self.by == "interactions" else [keys[self.by]]
        return integers(self.seed, f"shards/{self.by}", self.shards, *of)


@dataclass(frozen=True, kw_only=True)
class Clustered(Partition):
    """Balanced clusters of embeddings that were trained for this alone: similar users, items or interactions together.

    Chen et al., "Recommendation unlearning", 2022, arXiv 2201.06820. With e the pre-trained embeddings and c_j the
    centre of shard j, the cost of joining it is

        users: |e_u - c_j|^2        items: |e_i - c_j|^2        interactions: |e_u - c_j^U|^2 |e_i - c_j^I|^2

    and the cheapest pairs are served first, until a shard holds `slack` times its even share.

    Embeddings and centres come of everybody's data, so **where others are put tells of the forgotten**. With `refresh`
    a deletion divides the remaining data anew, embeddings included, and trains every shard that is no longer the same:
    exact, and mostly a full retrain. Without it, as published, the others stay where they are: only the shards that
    held the forgotten are trained, and what their presence did to the division is not undone.

    Raises:
        ValueError: listing every argument that is out of range.

    **Differences from the paper:** the embeddings are those of matrix factorisation with one weight for all unobserved
    pairs (`recsys.objectives.WholeData`), `dim` wide; centres are means of their members by coordinate. Shards are
    counted in users, items or interactions, as they are divided by.
    """

    refresh: bool = True
    dim: int = 16
    slack: float = 1.2
    rounds: int = 50

    def _rules(self) -> Rules:
        return super()._rules() | {
            "dim": ("a positive integer", self.dim >= 1),
            "slack": ("at least 1", self.slack >= 1),
            "rounds": ("an integer of at least 0", self.rounds >= 0),
        }

    @property
    def exact(self) -> bool:
        return self.refresh

    def assign(self, data: Interactions) -> Rows:
        if not len(data):
            return np.zeros(0, dtype=np.int64)
        rows, columns = data.user_rows(), data.item_rows()
        users, items = self._embeddings(data)
        keys = {"users": data.users.keys, "items": data.items.keys}
        if self.by == "interactions":
            drawn = uniforms(self.seed, "shards/centres", keys["users"][rows], keys["items"][columns])
            return self._cluster([users, items], [rows, columns], drawn)
        table, places = (users, rows) if self.by == "users" else (items, columns)
        present, of = np.unique(places, return_inverse=True)
        drawn = uniforms(self.seed, "shards/centres", keys[self.by][present])
        return self._cluster([table], [present], drawn)[of]

    def _embeddings(self, data: Interactions) -> tuple[Costs, Costs]:
        options = TrainingOptions(seed=self.seed, max_iterations=100)
        problem = RecommenderProblem.build(data, model="mf", objective=WholeData(), options=options, dim=self.dim)
        users, items = (table.double().numpy() for table in problem.fit().readout())
        return users, items

    def _cluster(self, tables: list[Costs], places: list[Rows], drawn: Costs) -> Labels:
        """Clusters [n] of elements that have a row of each table; the cost is the product over the tables."""
        k = self.shards
        first = np.resize(np.argsort(drawn, kind="stable")[:k], k)

        def distances(labels: Labels | None) -> Costs:
            costs = np.ones((len(drawn), k))
            for table, rows in zip(tables, places, strict=True):
                centres = table[rows[first]] if labels is None else means(table, rows, labels, k)
                costs *= squared_distances(table, centres)[rows]
            return costs

        return balanced_clusters(distances, len(drawn), k, slack=self.slack, rounds=self.rounds)
