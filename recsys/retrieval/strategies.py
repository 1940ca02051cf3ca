"""Which part of a user's remaining history is retrieved.

The three strategies of "Customized Retrieval-Augmented Generation with LLM for Debiasing Recommendation Unlearning"
(Zhang et al., 2025, arXiv 2511.05494, CRAGRU), on remaining data alone.

**Differences from the paper**: the published code draws at random within a group and fills quotas group by group, at
least one each; here a stream keyed by user and item draws, so that forgetting one interaction leaves the order of the
others alone, and quotas follow from one order. Attention there comes from item vectors that were never trained; here
from the co-occurrence of items in what remains. Shares of groups fitted by a knapsack search are not offered: the
published ones were chosen on what they are judged by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.ranking import Rows
from recsys.retrieval.evidence import Evidence
from unlearn.invalid import require
from unlearn.streams import uniforms


class Strategy(Protocol):
    """Chooses and orders at most `limit` items of a user's remaining history, for these candidates."""

    def __call__(self, evidence: Evidence, user: int, candidates: Rows, limit: int, /) -> Rows: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class ByPreference:
    """Preference-based: each group of items in proportion to its share of the history.

    Seats go to groups by Sainte-Lague's method, in ascending order of (place + 1/2) / (group's size), where an item's
    place within its group is drawn. So every prefix of the profile is as near to the shares as it can be.

    Args:
        groups: [n_items], the group of each item row (genre, category, cluster).
        seed: of the draw within groups.
    """

    groups: NDArray[np.int64]
    seed: int = 0

    def __call__(self, evidence: Evidence, user: int, candidates: Rows, limit: int) -> Rows:
        history, place, size, draw = _grouped(evidence, user, self.groups, self.seed)
        return history[np.lexsort((draw, (place + 0.5) / size))[:limit]]


@dataclass(frozen=True, eq=False, kw_only=True)
class ByDiversity:
    """Diversity-aware: the groups of items in turn, one item each, until they or the limit are used up.

    Args:
        groups: [n_items], the group of each item row (genre, category, cluster).
        seed: of the draw within groups, and of who comes first in a turn.
    """

    groups: NDArray[np.int64]
    seed: int = 0

    def __call__(self, evidence: Evidence, user: int, candidates: Rows, limit: int) -> Rows:
        history, place, _, draw = _grouped(evidence, user, self.groups, self.seed)
        return history[np.lexsort((draw, place))[:limit]]


@dataclass(frozen=True, eq=False, kw_only=True)
class ByAttention:
    """Attention-aware: the items of the history that the candidates attend to most, equal ones by item row.

        weight_h = sum_c softmax_h(cosine(c, h) / temperature)

    Raises:
        ValueError: the temperature is not positive.
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        require(self, temperature=("positive", self.temperature > 0))

    def __call__(self, evidence: Evidence, user: int, candidates: Rows, limit: int) -> Rows:
        history = evidence.history(user)
        if not len(history):
            return history
        logits = evidence.similarity(candidates, history) / self.temperature
        attention = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights = (attention / attention.sum(axis=1, keepdims=True)).sum(axis=0)
        return history[np.argsort(-weights, kind="stable")[:limit]]


def _grouped(
    evidence: Evidence, user: int, groups: NDArray[np.int64], seed: int
) -> tuple[Rows, Rows, Rows, NDArray[np.float64]]:
    """Of a history [h]: its items, the place of each within its group, the size of that group, and a draw."""
    data = evidence.data
    if groups.shape != (data.n_items,):
        raise ValueError(f"`groups` must have shape ({data.n_items},), a group for each item row (got {groups.shape})")
    history = evidence.history(user)
    draw = uniforms(seed, "retrieval/profile", data.users.keys[user], data.items.keys[history])
    order = np.lexsort((draw, groups[history]))
    history, draw = history[order], draw[order]
    _, first, size = np.unique(groups[history], return_index=True, return_counts=True)
    return history, np.arange(len(history)) - np.repeat(first, size), np.repeat(size, size), draw
