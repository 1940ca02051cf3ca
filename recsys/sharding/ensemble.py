"""A recommender in shards: to forget is to train again the shards that held the forgotten, and no other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.fitted import FittedRecommender
from recsys.graph import BipartiteGraph
from recsys.problem import RecommenderProblem
from recsys.ranking import Rows
from recsys.sharding.aggregation import Aggregation, Mean, Pieces
from recsys.sharding.partitions import Hashed, Partition
from recsys.sharding.shard import Shard, ShardTrainer, Share
from recsys.train import TrainingOptions
from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.params import Params
from unlearn.problem import SelfUnlearning


@dataclass(frozen=True, eq=False)
class ShardedRecommender(FittedRecommender, SelfUnlearning):
    """Models of disjoint shares of the interactions, and a rule that joins their scores.

    Bourtoule et al., "Machine unlearning", 2021, arXiv 1912.03817; for recommenders Chen et al., "Recommendation
    unlearning", 2022, arXiv 2201.06820.

    A shard knows only who occurs in its share: its graph, its random draws and its training steps depend on nothing
    else. So `forget` trains exactly the shards whose share is no longer the same, and the rule that joins them, which
    saw all data. Where the partition is `exact` the result is, bit for bit, what the remaining data would have given
    from the start; where it is not, the others' shards still are those that they were put into in the presence of the
    forgotten, and `history.removed` counts.

    Memory: `shards` tables over as many rows as their shares have users and items, and for scores one table of each
    side, `shards` times as wide under `Mean`.

    **Differences from the papers:** no slices within a shard; everybody's share is decided by keyed draws or by the
    clusters of `recsys.sharding.partitions`, not by the order of the data.
    """

    data: Interactions
    trainer: ShardTrainer
    partition: Partition
    aggregation: Aggregation
    members: Rows  # shard of each interaction [nnz]
    shards: tuple[Shard, ...] = ()  # of the shares that are not empty, in the partition's order
    weights: Params = field(default_factory=dict)  # what the aggregation learned
    history: History = field(default_factory=History)
    retrained: int = 0  # shards that the last `fit` or `forget` trained

    @classmethod
    def of(
        cls, problem: RecommenderProblem, *, partition: Partition | None = None, aggregation: Aggregation | None = None
    ) -> ShardedRecommender:
        """An untrained ensemble over the data of `problem`, with its model, objective and options; call `fit` on it.

        Nothing that the problem learned is taken over.

        Raises:
            ValueError: its interactions or ties are weighted, which shards know nothing of.
        """
        if problem.graph.is_weighted:
            raise ValueError("`problem` must count all interactions alike to be sharded (got weighted ones)")
        trainer = ShardTrainer.of(problem)
        members = np.zeros(len(problem.data), dtype=np.int64)
        history = History(hooks=trainer.hooks)
        return cls(problem.data, trainer, partition or Hashed(), aggregation or Mean(), members, history=history)

    @property
    def options(self) -> TrainingOptions:
        """How every shard is trained."""
        return self.trainer.options

    # ---- training and forgetting -------------------------------------------------------------------------------------

    def fit(self, init: Params | None = None, *, options: TrainingOptions | None = None) -> ShardedRecommender:
        if init is not None:
            raise ValueError("`init` must be None for a sharded recommender: each shard starts from its own seed")
        started = time.perf_counter()
        trainer = self.trainer if options is None else self.trainer.under(options)
        members = self.partition.assign(self.data)
        return replace(self, trainer=trainer, members=members)._trained([], started, removed=0)

    def forget(self, forget: ForgetSet) -> ShardedRecommender:
        started = time.perf_counter()
        gone = self.data.positions(forget)
        data = self.data.without(forget)
        if self.partition.exact:
            members = self.partition.assign(data)
            removed = 0
        else:
            members = np.delete(self.members, gone)
            removed = self.history.removed + len(gone)
        return replace(self, data=data, members=members)._trained(self.shards, started, removed=removed)

    def _trained(self, known: Iterable[Shard], started: float, *, removed: int) -> ShardedRecommender:
        """With a model for every share: one of the known shards if it was trained on the same, else a new one."""
        by_digest = {shard.trained_on: shard for shard in known}
        shards: list[Shard] = []
        for number in np.unique(self.members):
            share = Share.cut(self.data, np.flatnonzero(self.members == number), ties=self.trainer.model.uses_ties)
            digest = share.data.digest()
            found = by_digest.get(digest)
            model = self.trainer.train(share.data) if found is None else found.problem
            shards.append(Shard(share.users, share.items, model, digest))
        retrained = sum(shard.trained_on not in by_digest for shard in shards)
        new = replace(self, shards=tuple(shards), retrained=retrained)
        seed = self.options.seed
        graph = BipartiteGraph.from_interactions(self.data, dtype=self.trainer.dtype, device=self.trainer.device)
        weights = self.aggregation.fit(*new._pieces, graph, self.trainer.objective, seed=seed) if shards else {}
        seconds = elapsed(started)
        history = History(seconds=seconds, seed=seed, hooks=self.trainer.hooks, removed=removed)
        return replace(new, weights=weights, history=history)

    def without(self, forget: ForgetSet) -> ShardedRecommender:
        return replace(
            self,
            data=self.data.without(forget),
            members=np.delete(self.members, self.data.positions(forget)),
            shards=tuple(shard.without(forget) for shard in self.shards),
        )

    # ---- scores ------------------------------------------------------------------------------------------------------

    @cached_property
    def _pieces(self) -> tuple[Pieces, Pieces]:
        """Final embeddings of users and of items, shard by shard."""
        tables = [shard.problem.readout() for shard in self.shards]
        device = self.trainer.device

        def pieces(side: int, size: int) -> Pieces:
            rows = [torch.from_numpy((shard.users, shard.items)[side]).to(device) for shard in self.shards]
            return Pieces(rows, [of[side] for of in tables], size)

        return pieces(0, self.data.n_users), pieces(1, self.data.n_items)

    @cached_property
    def _factors(self) -> tuple[Tensor, Tensor]:
        if not self.shards:
            if len(self.data):
                raise ValueError("this sharded recommender has not been trained; call `fit` first")
            return torch.zeros(self.data.n_users, 1), torch.zeros(self.data.n_items, 1)
        users, items = self._pieces
        join = self.aggregation.join
        return join(users, "users", self.weights), join(items, "items", self.weights)

    def factors(self) -> tuple[Tensor, Tensor]:
        return self._factors

    def scores(self, users: Rows) -> Tensor:
        of_users, of_items = self._factors
        return of_users[torch.from_numpy(users).to(of_users.device)] @ of_items.T

    def fold_in(self, histories: csr_array) -> Tensor:
        """The mean over the shards that know any of a user's items, whatever joins the shards for the others.

        Attention is for those whose embeddings it was trained on.
        """
        total = torch.zeros(
            len(histories.indptr) - 1, self.data.n_items, dtype=self.trainer.dtype, device=self.trainer.device
        )
        held = torch.zeros(len(total), 1, dtype=total.dtype, device=total.device)
        for shard in self.shards:
            known, mine = _known(histories, shard.items)
            total[known[:, None], torch.from_numpy(shard.items)] += shard.problem.fold_in(mine)
            held[known] += 1
        return total / held.clamp_min(1)

    def fold_in_items(self, histories: csr_array) -> Tensor:
        """Of each user, the mean over the shards that hold the user."""
        total = torch.zeros(
            self.data.n_users, len(histories.indptr) - 1, dtype=self.trainer.dtype, device=self.trainer.device
        )
        held = torch.zeros(len(total), 1, dtype=total.dtype, device=total.device)
        for shard in self.shards:
            known, mine = _known(histories, shard.users)
            users = torch.from_numpy(shard.users)
            total[users[:, None], known] += shard.problem.fold_in_items(mine)
            held[users] += 1
        return total / held.clamp_min(1)


def _known(histories: csr_array, rows: Rows) -> tuple[Tensor, csr_array]:
    """Histories that touch any of these rows, and their part over them; and which they are [k]."""
    mine = csr_array(histories[:, rows])
    known = np.flatnonzero(np.diff(mine.indptr))
    return torch.from_numpy(known), csr_array(mine[known])
