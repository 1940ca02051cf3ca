"""All scores of one model, and how far those of two models are apart."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan, sqrt

import torch
from torch import Tensor

from recsys.fitted import FittedRecommender
from recsys.ranking import Scores, chunks, dot_products

Factors = tuple[Tensor, Tensor]
"""User and item tables whose dot products are the scores."""


@dataclass(frozen=True, eq=False)
class Answers:
    """The scores of all pairs: never formed where there are `factors`, else a chunk of user rows at a time.

    Norms are over the items `counted` [k], all where None.
    """

    scores: Scores
    factors: Factors | None
    n_items: int
    counted: Tensor | None = None

    @classmethod
    def of(cls, model: FittedRecommender, counted: Tensor | None = None) -> Answers:
        factors = model.factors()
        scores = model.scores if factors is None else dot_products(*factors)
        return cls(scores, factors, model.data.n_items, counted)

    def distance(self, other: Answers, rows: Tensor) -> float:
        """|S - S_other|_F over the user rows [q] and the items counted here, in float64; NaN if it is no number."""
        if self.factors is not None and other.factors is not None:
            return score_distance(self._of_counted(self.factors), self._of_counted(other.factors), rows)
        squares = (
            float(self._columns(self.scores(part).double() - other.scores(part).double()).square().sum())
            for part in chunks(rows.numpy(), self.n_items)
        )
        return _root(sum(squares))

    def norm(self, rows: Tensor) -> float:
        """|S|_F over the user rows [q] and the items counted, in float64; NaN if it is no number."""
        if self.factors is not None:
            return score_norm(self._of_counted(self.factors), rows)
        squares = (
            float(self._columns(self.scores(part).double()).square().sum())
            for part in chunks(rows.numpy(), self.n_items)
        )
        return _root(sum(squares))

    def _of_counted(self, factors: Factors) -> Factors:
        users, items = factors
        return users, items if self.counted is None else items[self.counted]

    def _columns(self, scores: Tensor) -> Tensor:
        return scores if self.counted is None else scores[:, self.counted]


def score_distance(left: Factors, right: Factors, rows: Tensor | None = None) -> float:
    """|S_left - S_right|_F over the user rows [q] (all where None) and all items, accumulated in float64.

        A B^T - C D^T = (A - C) B^T + C (B - D)^T = [A - C, C] [B, B - D]^T,    |P Q^T|^2 = tr(P^T P Q^T Q)

    The differences are taken before the squares, so near-equal factors lose no digits. Tables of different width are
    padded with zero columns, which changes no score.
    """
    users, other_users = _aligned(left[0], right[0], rows)
    items, other_items = _aligned(left[1], right[1], None)
    p = torch.cat([users - other_users, other_users], dim=1)
    q = torch.cat([items, items - other_items], dim=1)
    return _root(float(((p.T @ p) * (q.T @ q)).sum()))


def score_norm(factors: Factors, rows: Tensor | None = None) -> float:
    """|S|_F over the user rows [q] (all where None) and all items."""
    users = factors[0].double() if rows is None else factors[0][rows].double()
    items = factors[1].double()
    return _root(float(((users.T @ users) * (items.T @ items)).sum()))


def _root(squared: float) -> float:
    return sqrt(max(squared, 0.0)) if isfinite(squared) else nan


def _aligned(left: Tensor, right: Tensor, rows: Tensor | None) -> Factors:
    """Both tables in float64, at the rows, with zero columns up to one width."""
    width = max(left.shape[1], right.shape[1])
    tables = [table if rows is None else table[rows] for table in (left, right)]
    padded = [torch.nn.functional.pad(table.double(), (0, width - table.shape[1])) for table in tables]
    return padded[0], padded[1]
