"""Measures of unlearning as pure functions of tensors and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt

import torch
from scipy.special import stdtrit
from torch import Tensor

_TINY = torch.finfo(torch.float32).tiny


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


def ratio(numerator: float, denominator: float) -> float:
    """Their quotient, or NaN where the denominator is 0 or below what float32 tells from it (1.2e-38)."""
    return numerator / denominator if not abs(denominator) < _TINY else nan


def top_k_overlap(left: Tensor, right: Tensor) -> float:
    """Mean Jaccard index of the lists [q, k] of both sides, row by row; -1 marks an empty place.

    NaN where there are no rows; two empty lists agree.
    """
    if not len(left):
        return nan
    return float(jaccard(left, right).mean())


def jaccard(left: Tensor, right: Tensor) -> Tensor:
    """Jaccard index [q] of the lists [q, k] row by row; -1 marks an empty place; two empty lists agree."""
    common = ((left[:, :, None] == right[:, None, :]) & (left >= 0)[:, :, None]).sum((1, 2)).double()
    union = (left >= 0).sum(1) + (right >= 0).sum(1) - common
    return torch.where(union > 0, common / union.clamp_min(1), 1.0)


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean of repeated runs with its 95 % Student t interval; NaN ends for a single run; `n` of them had a value."""

    mean: float
    low: float
    high: float
    n: int


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
        return Interval(nan, nan, nan, 0)
    mean = float(kept.mean())
    if len(kept) == 1:
        return Interval(mean, nan, nan, 1)
    half = float(stdtrit(len(kept) - 1, 0.975)) * float(kept.std()) / sqrt(len(kept))
    return Interval(mean, mean - half, mean + half, len(kept))


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
