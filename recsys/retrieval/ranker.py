"""Recommendations from a user's remaining profile, behind a list of what is suppressed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.fitted import FittedRecommender
from recsys.ranking import Rows, best, seen_items
from recsys.recommend import BaseRanker
from recsys.retrieval.evidence import Evidence, Retrieved
from recsys.retrieval.generators import Generator
from recsys.retrieval.strategies import Strategy
from recsys.retrieval.suppression import SuppressedRanker, SuppressionList
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False, kw_only=True)
class RetrievalRanker(BaseRanker):
    """Retrieval-side suppression, not unlearning: the model proposes, what remains of the user decides.

    "Customized Retrieval-Augmented Generation with LLM for Debiasing Recommendation Unlearning", Zhang et al., 2025,
    arXiv 2511.05494 (CRAGRU): the best `n_candidates` items of a trained model, at most `profile_size` items of the
    user's remaining history, and a generator that ranks the former by the latter.

    **The parameters still hold the forgotten data**: they choose the candidates, for the user and for everybody whom
    the user resembles. It stops at once what can be seen, while the real unlearning runs, and proves nothing. Give
    `candidates` and `data` that know the request already, or let `after` do so.

    Scores are 1 / place in the generated list, -inf beyond it; they compare within one list only. What a user has in
    `data` is no candidate. `recommend` can list at most `n_candidates` items, fewer if it excludes or suppresses some.

    **Differences from the paper**: forgotten interactions, items and users are held back as candidates, too; there,
    they only leave the profile, and some of those asked to be forgotten stay in the remaining data.

    Args:
        candidates: the ranker that proposes. One that scores `FittedRecommender.fold_in` of the remaining histories
            does not use the users' own parameters.
        data: the remaining interactions, in the same rows.
        strategy: which part of a history makes the profile.
        generator: ranks the candidates.

    Raises:
        ValueError: sizes are no integers of at least 1, or rows of `data` and `candidates` stand for different ids.
    """

    candidates: BaseRanker
    data: Interactions
    strategy: Strategy
    generator: Generator
    n_candidates: int = 50
    profile_size: int = 100
    user_ids: Vocabulary = field(init=False)
    item_ids: Vocabulary = field(init=False)
    popularity: Tensor | None = field(init=False)
    _evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        require(
            self,
            n_candidates=("at least 1", self.n_candidates >= 1),
            profile_size=("at least 1", self.profile_size >= 1),
        )
        problems = [
            f"`data.{name}` must be the ids of `candidates`, row by row; take both from one model"
            for name, ours, theirs in (
                ("users", self.data.users, self.candidates.user_ids),
                ("items", self.data.items, self.candidates.item_ids),
            )
            if not ours.agrees_with(theirs)
        ]
        if problems:
            raise ValueError("\n".join(problems))
        for name in ("user_ids", "item_ids", "popularity"):
            object.__setattr__(self, name, getattr(self.candidates, name))
        object.__setattr__(self, "_evidence", Evidence(self.data))

    @classmethod
    def after(
        cls,
        forget: ForgetSet,
        model: FittedRecommender,
        *,
        key: bytes,
        strategy: Strategy,
        generator: Generator,
        n_candidates: int = 50,
        profile_size: int = 100,
    ) -> RetrievalRanker:
        """Of a trained model: the request leaves data and graph and is suppressed under `key`, the parameters stay."""
        remaining = model.without(forget)
        return cls(
            candidates=SuppressedRanker(remaining.ranker(), SuppressionList.of(forget, key=key)),
            data=remaining.data,
            strategy=strategy,
            generator=generator,
            n_candidates=n_candidates,
            profile_size=profile_size,
        )

    def scores(self, rows: Rows) -> Tensor:
        scores = torch.full((len(rows), len(self.item_ids)), -torch.inf, dtype=torch.float64)
        proposed = best(
            self.candidates.scores,
            rows,
            len(self.item_ids),
            k=self.n_candidates,
            seen=lambda chunk: seen_items(self.data, chunk),
            banned=np.flatnonzero(~self.item_ids.alive),
        )
        place = 0
        for users, values, columns in proposed:
            for user, real, items in zip(users.tolist(), values > -np.inf, columns, strict=True):
                ranked = torch.from_numpy(self._generated(user, items[real]))
                scores[place, ranked] = 1.0 / torch.arange(1, len(ranked) + 1, dtype=torch.float64)
                place += 1
        return scores

    def _generated(self, user: int, candidates: Rows) -> Rows:
        """The candidates [at most c] in the generator's order."""
        if not len(candidates):
            return candidates
        profile = self.strategy(self._evidence, user, candidates, self.profile_size)
        order = self.generator(Retrieved(self._evidence, profile, candidates))
        if len(np.unique(order)) != len(order) or not np.isin(order, np.arange(len(candidates))).all():
            raise ValueError(f"a generator must name places of {len(candidates)} candidates, each at most once")
        return candidates[order]
