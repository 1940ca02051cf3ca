"""Measures of unlearning as pure functions of tensors.

Score matrices come as factors (users [n, d], items [m, d]), S = users @ items.T, and are never formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt

import torch
from scipy.special import stdtrit
from torch import Tensor

Factors = tuple[Tensor, Tensor]
"""User and item tables whose dot products are the scores."""


def auc(positive: Tensor, negative: Tensor) -> float:
    """Probability that a positive score exceeds a negative one, ties counting half; exact; NaN if either is empty.

    Args:
        positive: scores [p]; negative: scores [q].
    """
    if not positive.numel() or not negative.numel():
        return nan
    if not bool(positive.isfinite().all() and negative.isfinite().all()):
        return nan
    ordered = negative.flatten().sort().values
    values = positive.flatten().to(ordered.dtype)
    below = torch.searchsorted(ordered, values)
    not_above = torch.searchsorted(ordered, values, right=True)
    return float((below + not_above).sum()) / (2.0 * positive.numel() * negative.numel())


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
    squared = float(((p.T @ p) * (q.T @ q)).sum())
    return sqrt(max(squared, 0.0)) if isfinite(squared) else nan


def score_norm(factors: Factors, rows: Tensor | None = None) -> float:
    """|S|_F over the user rows [q] (all where None) and all items."""
    users = factors[0].double() if rows is None else factors[0][rows].double()
    items = factors[1].double()
    squared = float(((users.T @ users) * (items.T @ items)).sum())
    return sqrt(max(squared, 0.0)) if isfinite(squared) else nan


def score_gap(after: Factors, before: Factors, reference: Factors, rows: Tensor) -> float:
    """|S_after - S_reference| / |S_before - S_reference| over the affected users [q] and all items.

    0 is the reference itself, 1 is having done nothing; NaN where the reference did not move.
    """
    return ratio(score_distance(after, reference, rows), score_distance(before, reference, rows))


def ratio(numerator: float, denominator: float) -> float:
    """Their quotient, or NaN where the denominator is 0."""
    return numerator / denominator if denominator else nan


def top_k_overlap(left: Tensor, right: Tensor) -> float:
    """Mean Jaccard index of the lists [q, k] of both sides, row by row; -1 marks an empty place.

    NaN where there are no rows; two empty lists agree.
    """
    if not len(left):
        return nan
    common = ((left[:, :, None] == right[:, None, :]) & (left >= 0)[:, :, None]).sum((1, 2)).double()
    union = (left >= 0).sum(1) + (right >= 0).sum(1) - common
    return float(torch.where(union > 0, common / union.clamp_min(1), 1.0).mean())


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean of repeated runs with its 95 % Student t interval; NaN ends for a single run."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Median over many small requests, with the 10th and 90th percentile; `n` of them had a value."""

    median: float
    p10: float
    p90: float
    n: int


def interval(values: Sequence[float]) -> Interval:
    """Mean of the values that exist (NaN is none) and its 95 % t interval."""
    kept = _existing(values)
    if not len(kept):
        return Interval(nan, nan, nan)
    mean = float(kept.mean())
    if len(kept) == 1:
        return Interval(mean, nan, nan)
    half = float(stdtrit(len(kept) - 1, 0.975)) * float(kept.std()) / sqrt(len(kept))
    return Interval(mean, mean - half, mean + half)


def quantiles(values: Sequence[float]) -> Quantiles:
    """Median, 10th and 90th percentile (linear interpolation) of the values that exist (NaN is none)."""
    kept = _existing(values)
    if not len(kept):
        return Quantiles(nan, nan, nan, 0)
    median, low, high = (float(kept.quantile(q)) for q in (0.5, 0.1, 0.9))
    return Quantiles(median, low, high, len(kept))


def _existing(values: Sequence[float]) -> Tensor:
    found = torch.tensor(list(values), dtype=torch.float64)
    return found[~found.isnan()]


def _aligned(left: Tensor, right: Tensor, rows: Tensor | None) -> Factors:
    """Both tables in float64, at the rows, with zero columns up to one width."""
    width = max(left.shape[1], right.shape[1])
    tables = [table if rows is None else table[rows] for table in (left, right)]
    padded = [torch.nn.functional.pad(table.double(), (0, width - table.shape[1])) for table in tables]
    return padded[0], padded[1]
