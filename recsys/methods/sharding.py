"""Exact unlearning by sharding, as a method: the recommender is served as an ensemble of shards from the start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from recsys.fitted import FittedRecommender
from recsys.problem import RecommenderProblem
from recsys.sharding import Attention, Clustered, Hashed, Mean, ShardedRecommender
from recsys.sharding.partitions import By
from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Fitted


@register
@dataclass(frozen=True, kw_only=True)
class Sharding(Unlearner):
    """`prepare` trains one model a shard; a request trains those shards again that held what is forgotten.

    Bourtoule et al., "Machine unlearning", 2021, arXiv 1912.03817 (`partition="hash"`, `aggregation="mean"`); Chen et
    al., "Recommendation unlearning", 2022, arXiv 2201.06820 (`"clusters"`, `"attention"`). The equations are those of
    `recsys.sharding`.

    What is served is the ensemble (`subject`), with the recommender's data, model, objective and options; the
    recommender it was made from is only asked for these. A request naming r random users trains about
    K (1 - (1 - 1 / K)^r) of K shards; random interactions soon reach all of them.

    Memory: the state is the ensemble, K embedding tables over the rows of their shards, and the data.

    Args:
        shards: K.
        by: what is kept together in one shard, whole "users", whole "items", or nothing ("interactions").
        partition: "hash" draws everybody's shard from the own id, so that the result is what remaining data alone give,
            bit for bit. "clusters" puts those alike together.
        refresh: whether a request divides the remaining data into clusters anew, which is exact, and mostly a full
            retrain. As published it does not: what the forgotten did to the others' division stays. Of no effect under
            "hash".

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the papers:** see `ShardedRecommender`, `Clustered` and `Attention`.
    """

    shards: int = 10
    by: By = "users"
    partition: Literal["hash", "clusters"] = "hash"
    aggregation: Literal["mean", "attention"] = "mean"
    refresh: bool = True

    name = "sharding"
    works_on = FittedRecommender

    def __post_init__(self) -> None:
        require(self, shards=("a positive integer", self.shards >= 1))

    def _obstacle(self, problem: FittedRecommender) -> str | None:
        if isinstance(problem, RecommenderProblem) and problem.graph.is_weighted:
            return "`sharding` needs interactions that all count alike (got weighted ones)"
        if isinstance(problem, RecommenderProblem | ShardedRecommender):
            return None
        return f"`sharding` needs a recommender trained by an objective (got {type(problem).__name__})"

    def prepare(self, problem: Any) -> State:
        self._check(problem)
        started = time.perf_counter()
        if not isinstance(problem, ShardedRecommender):
            seed = problem.options.seed
            if self.partition == "hash":
                partition = Hashed(shards=self.shards, by=self.by, seed=seed)
            else:
                partition = Clustered(shards=self.shards, by=self.by, seed=seed, refresh=self.refresh)
            aggregation = Mean() if self.aggregation == "mean" else Attention()
            problem = ShardedRecommender.of(problem, partition=partition, aggregation=aggregation).fit()
        return State(problem, elapsed(started), _megabytes(problem))

    def subject(self, problem: Any, state: State | None) -> Fitted:
        return state.payload if state is not None and not isinstance(problem, ShardedRecommender) else problem

    def _remaining(self, problem: Any, forget: ForgetSet) -> Any:
        return problem  # the ensemble cuts its own data

    def _forget(
        self, problem: Any, remaining: Any, forget: ForgetSet, state: State | None
    ) -> tuple[ShardedRecommender, State]:
        ensemble = self.subject(problem, state or self.prepare(problem))
        assert isinstance(ensemble, ShardedRecommender)
        after = ensemble.forget(forget)
        return after, State(after, after.history.seconds or 0.0, _megabytes(after))


def _megabytes(ensemble: ShardedRecommender) -> float:
    """What the ensemble itself holds and what its shards hold: tables, graphs and data, without ids."""
    held: list[Any] = [*vars(ensemble).values(), *vars(ensemble.data).values(), *ensemble.weights.values()]
    for shard in ensemble.shards:
        problem = shard.problem
        held += [*vars(shard).values(), *problem.params.values(), *vars(problem.graph).values()]
        held += vars(problem.data).values()
    strided = [x for x in held if isinstance(x, np.ndarray) or (isinstance(x, Tensor) and x.layout == torch.strided)]
    return sum(x.nbytes for x in strided) / 1e6
