"""What an evaluation of unlearning asks of a recommender: held-out data, polishing, affected users, folding in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.evaluate import evaluate, terciles
from recsys.foldin import Halves, folded_readout, split_history
from recsys.problem import RecommenderProblem
from recsys.ranking import best, seen_items
from recsys.train import Monitor
from unlearn.forget import ForgetSet
from unlearn.problem import Problem
from unlearn.streams import uniforms

Rows = NDArray[np.int64]
K = 20
_MOST_AFFECTED = 2_000
_STRATA = ("low", "middle", "high")


@dataclass(frozen=True)
class RankingScorer:
    """Scores recommenders on held-out interactions `test`, over the rows of the training data."""

    test: Interactions

    def panel(self, problem: Problem, forget: ForgetSet, *, seed: int) -> RankingPanel:
        """The questions of one request; `forget` must have been resolved on `problem`."""
        original = _recommender(problem)
        remaining = original.data.without(forget)
        strata = terciles(remaining.degrees()[0])
        return RankingPanel(
            original=original,
            forget=forget,
            left=remaining,
            test=self.test,
            affected=torch.from_numpy(affected_users(original.data, remaining, forget, seed=seed)),
            remaining=torch.from_numpy(np.flatnonzero(remaining.users.alive)),
            halves=split_history(original.data, forget, seed=seed),
            strata={name: np.flatnonzero(strata == number) for number, name in enumerate(_STRATA)},
        )

    def polish(self, problem: Problem, *, seed: int | None = None, watch: Monitor | None = None) -> RecommenderProblem:
        """Train to where arithmetic ends: on from the present parameters, or from a fresh start by `seed`."""
        recommender = _recommender(problem)
        options = recommender.options.polished()
        if seed is None:
            return recommender.fit(recommender.params, options=options, monitor=watch)
        return recommender.fit(options=replace(options, seed=seed), monitor=watch)

    def placebo(self, problem: Problem, forget: ForgetSet, *, seed: int) -> ForgetSet:
        """As many users, items and single interactions as `forget` names, drawn from what it leaves."""
        data = _recommender(problem).data.without(forget)
        users, items = (np.flatnonzero(degrees > 0) for degrees in data.degrees())
        chosen_users = _drawn(users, data.users.keys[users], len(forget.users), seed)
        chosen_items = _drawn(items, data.items.keys[items], len(forget.items), seed)
        rows, columns = data.user_rows(), data.item_rows()
        edges = _drawn(
            np.arange(len(data)), data.users.keys[rows] ^ data.items.keys[columns], len(forget.interactions), seed
        )
        return ForgetSet(
            users=tuple(data.users.take(chosen_users)),
            items=tuple(data.items.take(chosen_items)),
            interactions=tuple(zip(data.users.take(rows[edges]), data.items.take(columns[edges]), strict=True)),
        )

    def digests(self, problem: Problem) -> dict[str, str]:
        """Digests of training and held-out data."""
        return {"train": _recommender(problem).data.digest(), "test": self.test.digest()}


@dataclass(frozen=True, eq=False)
class RankingPanel:
    """One request's questions to every model that comes of it; see `unlearn.audit.contract.Panel`."""

    original: RecommenderProblem
    forget: ForgetSet
    left: Interactions  # remaining training data
    test: Interactions
    affected: Tensor
    remaining: Tensor
    halves: Halves
    strata: dict[str, Rows]

    def factors(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """Final embeddings of users and items."""
        return _recommender(problem).readout()

    def utility(self, problem: Problem) -> dict[str, float]:
        """Recall@20 and NDCG@20 of remaining users with test items, and by tercile of activity; NaN if not finite."""
        names = ("recall_at_20", "ndcg_at_20")
        users, items = self.factors(problem)
        if not bool(users.isfinite().all() and items.isfinite().all()):
            return {f"{name}{part}": float("nan") for part in ("", *(f"_{s}" for s in _STRATA)) for name in names}
        metrics = evaluate(users, items, train=self.left, test=self.test, ks=(K,))
        whole = metrics.summary()
        by_stratum = {part: metrics.summary(rows) for part, rows in self.strata.items()}
        return {name: whole[name] for name in names} | {
            f"{name}_{part}": found[name] for part, found in by_stratum.items() for name in names
        }

    def forget_scores(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """Scores of deleted interactions [p] and of held-out positives [q] of the same users.

        A model that no longer holds a forgotten user or item is asked after folding in half of its history, about the
        other half; a model that still holds it is asked as it is, about the same half.
        """
        recommender = _recommender(problem)
        users, items = folded_readout(recommender, self.original, self.forget, self.halves)
        rows, columns = self.halves.asked
        owners = np.unique(rows)
        local, held_items = seen_items(self.test, owners)
        held_rows = owners[local]
        # A forgotten item is no yardstick for what is held out.
        kept = self.left.items.alive[held_items]

        def scores(rows: Rows, columns: Rows) -> Tensor:
            left, right = (torch.from_numpy(index).to(users.device) for index in (rows, columns))
            return (users[left] * items[right]).sum(1).cpu()

        return scores(rows, columns), scores(held_rows[kept], held_items[kept])

    def lists(self, problem: Problem) -> Tensor:
        """Top-20 item rows [affected, 20] that are not remaining training data; -1 marks an empty place."""
        users, items = self.factors(problem)
        found = np.full((len(self.affected), K), -1, dtype=np.int64)
        if not bool(users.isfinite().all() and items.isfinite().all()):
            return torch.from_numpy(found)
        dead = np.flatnonzero(~self.left.items.alive)
        start = 0
        seen = partial(seen_items, self.left)
        for chunk, values, columns in best(users, items, self.affected.numpy(), k=K, seen=seen, banned=dead):
            found[start : start + len(chunk), : columns.shape[1]] = np.where(values > -np.inf, columns, -1)
            start += len(chunk)
        return torch.from_numpy(found)


def affected_users(data: Interactions, remaining: Interactions, forget: ForgetSet, *, seed: int) -> Rows:
    """Rows of remaining users within two hops (user - item - user) of what is forgotten; at most 2,000, by seed.

    Users of forgotten interactions and ties count as hop 0, users of forgotten items as hop 1.
    """
    rows, columns = data.user_rows(), data.item_rows()
    near_users = np.zeros(data.n_users, dtype=np.bool_)
    near_items = np.zeros(data.n_items, dtype=np.bool_)
    tied = [end for tie in forget.ties for end in tie]
    near_users[data.users.rows([*forget.users, *tied])] = True
    near_items[data.items.rows(forget.items)] = True
    single = data.positions(ForgetSet(interactions=forget.interactions))
    near_users[rows[single]] = True
    near_items[columns[near_users[rows]]] = True
    near_users[rows[near_items[columns]]] = True
    found = np.flatnonzero(near_users & remaining.users.alive)
    return np.sort(_drawn(found, data.users.keys[found], _MOST_AFFECTED, seed))


def _drawn(rows: Rows, keys: NDArray[np.uint64], count: int, seed: int) -> Rows:
    """At most `count` of the rows, each by its own key."""
    return rows[np.argsort(uniforms(seed, "audit/draw", keys), kind="stable")[:count]] if len(rows) else rows


def _recommender(problem: Problem) -> RecommenderProblem:
    if not isinstance(problem, RecommenderProblem):
        raise TypeError(f"`problem` must be a RecommenderProblem for a ranking scorer (got {type(problem).__name__})")
    return problem
