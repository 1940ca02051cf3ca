"""What an evaluation of unlearning asks of a recommender: held-out data, polishing, affected users, folding in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import isnan, nan
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.answers import Answers
from recsys.closed_form import ClosedForm
from recsys.data.interactions import Interactions
from recsys.evaluate import evaluate_scores, terciles
from recsys.fitted import FittedRecommender, one_hop
from recsys.foldin import Halves, split_history
from recsys.likeness import TiedPairs, likeness
from recsys.membership import PairExamples, pair_examples
from recsys.problem import RecommenderProblem
from recsys.ranking import Rows, best, seen_items
from unlearn.forget import ForgetSet
from unlearn.history import Monitor
from unlearn.problem import Fitted
from unlearn.streams import permutation

K = 20
_MOST_AFFECTED = 2_000
_STRATA = ("low", "middle", "high")


@dataclass(frozen=True)
class RankingScorer:
    """Scores recommenders on held-out interactions `test`, over the rows of the training data."""

    test: Interactions

    def panel(self, model: Fitted, forget: ForgetSet, *, seed: int) -> RankingPanel:
        """The questions of one request; `forget` must have been resolved on `model`.

        Raises:
            ValueError: ties alone are named, and the model does not use them.
        """
        recommender = _recommender(model)
        data = recommender.data
        remaining = data.without(forget)
        only_ties = bool(forget.ties) and not (forget.users or forget.items or forget.interactions)
        if only_ties and not len(recommender.tied_users(data)):
            raise ValueError(
                "`forget` must name more than ties for a model that does not use them; take one that does "
                "(social_lightgcn)"
            )
        strata = terciles(remaining.degrees()[0])
        return RankingPanel(
            left=remaining,
            test=self.test,
            affected=torch.from_numpy(affected_users(recommender, remaining, forget, seed=seed)),
            remaining=torch.from_numpy(np.flatnonzero(remaining.users.alive)),
            halves=split_history(data, forget, seed=seed),
            tied=TiedPairs.drawn(data, remaining, forget, seed=seed) if only_ties else None,
            strata={name: np.flatnonzero(strata == number) for number, name in enumerate(_STRATA)},
        )

    def examples(
        self,
        model: Fitted,
        forget: ForgetSet,
        *,
        seed: int,
        most: int,
        unknown: ForgetSet | None = None,
    ) -> PairExamples:
        """What attacks ask about one request, see `recsys.membership.pair_examples`."""
        data = _recommender(model).data
        return pair_examples(data, self.test, forget, seed=seed, most=most, unknown=unknown)

    def polish(self, model: Fitted, *, seed: int | None = None, watch: Monitor | None = None) -> FittedRecommender:
        """Train to where references end: on from the present parameters, or from a fresh start by `seed`.

        A model with another way of training is fitted as it stands, by `seed` where it or its options know one; it
        cannot be watched.
        """
        recommender = _recommender(model)
        options: Any = getattr(recommender, "options", None)
        if isinstance(recommender, ClosedForm):
            return (recommender if seed is None else recommender.with_seed(seed)).fit()
        if not isinstance(recommender, RecommenderProblem):
            reseeded = seed is not None and hasattr(options, "seed")
            return recommender.fit(options=replace(options, seed=seed) if reseeded else None)
        init = recommender.params if seed is None else None
        options = options.polished()
        return recommender.fit(init, options=options if seed is None else replace(options, seed=seed), monitor=watch)

    def continued(self, model: Fitted) -> FittedRecommender:
        """Trained on until a sixteenth of the tolerance, to show how far the scores still move.

        Training that samples ends by its number of epochs, wherever that is; other models than problems end somehow.
        """
        recommender = _recommender(model)
        if not isinstance(recommender, RecommenderProblem) or recommender.stochastic:
            return recommender
        return recommender.fit(recommender.params, options=recommender.options.polished().polished())

    def placebo(self, model: Fitted, forget: ForgetSet, *, seed: int) -> ForgetSet:
        """As many users, items, ties and single interactions as `forget` names, drawn from what it leaves."""
        data = _recommender(model).data.without(forget)
        users, items = (np.flatnonzero(degrees > 0) for degrees in data.degrees())
        chosen_users = _drawn(users, data.users.keys[users], len(forget.users), seed)
        chosen_items = _drawn(items, data.items.keys[items], len(forget.items), seed)
        rows, columns = data.user_rows(), data.item_rows()
        edges = _drawn(np.arange(len(data)), data.units("interaction").keys, len(forget.interactions), seed)
        ties = data.units("tie")
        pairs = len({frozenset(tie) for tie in forget.ties})
        return ties.forget_set(_drawn(np.arange(len(ties)), ties.keys, pairs, seed)) | ForgetSet(
            users=tuple(data.users.take(chosen_users)),
            items=tuple(data.items.take(chosen_items)),
            interactions=tuple(zip(data.users.take(rows[edges]), data.items.take(columns[edges]), strict=True)),
        )

    def digests(self, model: Fitted) -> dict[str, str]:
        """Digests of training and held-out data."""
        return {"train": _recommender(model).data.digest(), "test": self.test.digest()}


@dataclass(frozen=True, eq=False)
class RankingPanel:
    """One request's questions to every model that comes of it; see `unlearn.audit.contract.Panel`."""

    left: Interactions  # remaining training data
    test: Interactions
    affected: Tensor
    remaining: Tensor
    halves: Halves
    tied: TiedPairs | None  # of a request of ties alone, which is asked about them
    strata: dict[str, Rows]

    def answers(self, model: Fitted) -> Answers:
        """All scores of a model; those of forgotten items, which no list can hold, count in no norm."""
        return Answers.of(_recommender(model), torch.from_numpy(np.flatnonzero(self.left.items.alive)))

    def distance(self, left: Answers, right: Answers, rows: Tensor) -> float:
        """Frobenius distance of the scores at the user rows."""
        return left.distance(right, rows)

    def norm(self, answers: Answers, rows: Tensor) -> float:
        """Frobenius norm of the scores at the user rows."""
        return answers.norm(rows)

    def utility(self, model: Fitted) -> dict[str, float]:
        """Recall@20 and NDCG@20 of remaining users with test items, and by tercile of activity; NaN if not finite."""
        names = ("recall_at_20", "ndcg_at_20")
        answers = self.answers(model)
        if isnan(answers.norm(self.remaining)):
            return {f"{name}{part}": nan for part in ("", *(f"_{s}" for s in _STRATA)) for name in names}
        metrics = evaluate_scores(answers.scores, train=self.left, test=self.test, ks=(K,))
        whole = metrics.summary()
        by_stratum = {part: metrics.summary(rows) for part, rows in self.strata.items()}
        return {name: whole[name] for name in names} | {
            f"{name}_{part}": found[name] for part, found in by_stratum.items() for name in names
        }

    def forget_scores(self, model: Fitted) -> tuple[Tensor, Tensor]:
        """Scores of deleted interactions [p] and of held-out positives [q] of the same users.

        A model that no longer holds a forgotten user or item is asked after folding in half of its history, about the
        other half; a model that still holds it is asked as it is, about the same half. What cannot be asked is left
        out: an interaction of a forgotten user with a forgotten item, and, where the model cannot fold in items, those
        of a forgotten item.

        Of a request of ties alone: how alike the model recommends to both ends of a deleted tie [p], and to one of them
        and somebody never tied to them [q].
        """
        recommender = _recommender(model)
        if self.tied is not None:
            factors = recommender.factors()
            assert factors is not None  # of every model that uses ties
            return likeness(*factors, self.tied.cut).cpu(), likeness(*factors, self.tied.never).cpu()
        rows, columns = self.halves.asked
        owners = np.unique(rows)
        local, held_items = seen_items(self.test, owners)
        held_rows = owners[local]
        # A forgotten item is no yardstick for what is held out.
        kept = self.left.items.alive[held_items]
        return self._scored(recommender, rows, columns), self._scored(recommender, held_rows[kept], held_items[kept])

    def _scored(self, model: FittedRecommender, rows: Rows, columns: Rows) -> Tensor:
        """Scores of the pairs that can be asked, those of forgotten users and items by folding in."""
        user_here, item_here = model.data.users.alive[rows], model.data.items.alive[columns]
        plain = user_here & item_here
        found = [model.outputs(torch.from_numpy(np.stack([rows[plain], columns[plain]], axis=1))).cpu()]
        if (of_users := np.flatnonzero(~user_here & item_here)).size:
            gone, place = np.unique(rows[of_users], return_inverse=True)
            scores = model.fold_in(self._folded(gone, model.data.items.alive))
            found.append(scores[place, columns[of_users]].cpu())
        if (of_items := np.flatnonzero(user_here & ~item_here)).size:
            gone, place = np.unique(columns[of_items], return_inverse=True)
            scores = model.fold_in_items(self._folded(gone, model.data.users.alive, items=True))
            if scores is not None:
                found.append(scores[rows[of_items], place].cpu())
        return torch.cat(found)

    def _folded(self, gone: Rows, there: NDArray[np.bool_], *, items: bool = False) -> csr_array:
        """Folded halves [g, n] of the forgotten user rows (or item rows), as far as the other side is `there`."""
        owners, others = reversed(self.halves.folded) if items else self.halves.folded
        mine = np.isin(owners, gone) & there[others]
        ones = np.ones(int(mine.sum()), dtype=np.float32)
        return csr_array((ones, (np.searchsorted(gone, owners[mine]), others[mine])), shape=(len(gone), len(there)))

    def lists(self, model: Fitted) -> Tensor:
        """Top-20 item rows [affected, 20] that are not remaining training data; -1 marks an empty place."""
        answers = self.answers(model)
        found = np.full((len(self.affected), K), -1, dtype=np.int64)
        if isnan(answers.norm(self.affected)):
            return torch.from_numpy(found)
        dead = np.flatnonzero(~self.left.items.alive)
        start = 0
        seen = partial(seen_items, self.left)
        affected = self.affected.numpy()
        for chunk, values, columns in best(answers.scores, affected, answers.n_items, k=K, seen=seen, banned=dead):
            found[start : start + len(chunk), : columns.shape[1]] = np.where(values > -np.inf, columns, -1)
            start += len(chunk)
        return torch.from_numpy(found)


def affected_users(model: FittedRecommender, remaining: Interactions, forget: ForgetSet, *, seed: int) -> Rows:
    """Rows of remaining users within two hops (user - item - user) of what is forgotten; at most 2,000, by seed.

    Users of forgotten interactions and ties count as hop 0, users of forgotten items as hop 1. In a model that uses
    ties, a tie is a hop as an interaction is.
    """
    data = model.data
    near = np.zeros(data.n_users + data.n_items, dtype=np.bool_)
    single = data.positions(ForgetSet(interactions=forget.interactions))
    near[data.users.rows([*forget.users, *(end for tie in forget.ties for end in tie)])] = True
    near[data.user_rows()[single]] = True
    near[data.n_users + np.concatenate([data.items.rows(forget.items), data.item_rows()[single]])] = True
    edges = model.message_edges()
    near = one_hop(edges, one_hop(edges, near))
    found = np.flatnonzero(near[: data.n_users] & remaining.users.alive)
    return np.sort(_drawn(found, data.users.keys[found], _MOST_AFFECTED, seed))


def _drawn(rows: Rows, keys: NDArray[np.uint64], count: int, seed: int) -> Rows:
    """At most `count` of the rows, each by its own key."""
    return rows[permutation(seed, "audit/draw", keys)[:count]]


def _recommender(model: Fitted) -> FittedRecommender:
    if not isinstance(model, FittedRecommender):
        raise TypeError(f"`model` must be a FittedRecommender for a ranking scorer (got {type(model).__name__})")
    return model
