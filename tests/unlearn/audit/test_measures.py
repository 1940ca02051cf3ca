"""Measures against enumeration and tables."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearn.audit.measures import auc, interval, quantiles, ratio, top_k_overlap

SMALL = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(SMALL, SMALL)
def test_auc_equals_enumeration(positive: list[int], negative: list[int]) -> None:
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positive for n in negative]
    got = auc(torch.tensor(positive, dtype=torch.float32), torch.tensor(negative, dtype=torch.float32))
    assert got == pytest.approx(sum(wins) / len(wins))


def test_auc_without_a_side_or_a_number_is_nan() -> None:
    some = torch.ones(3)
    assert math.isnan(auc(some[:0], some))
    assert math.isnan(auc(some, some[:0]))
    assert math.isnan(auc(some, some * torch.nan))
    assert math.isnan(auc(some * torch.nan, some))


def test_overlap_is_the_mean_jaccard_index() -> None:
    left = torch.tensor([[1, 2, 3], [4, 5, -1], [-1, -1, -1]])
    right = torch.tensor([[3, 1, 9], [5, -1, -1], [-1, -1, -1]])
    assert top_k_overlap(left, right) == pytest.approx((2 / 4 + 1 / 2 + 1) / 3)
    assert math.isnan(top_k_overlap(left[:0], right[:0]))


def test_nothing_is_measured_in_units_of_nothing() -> None:
    assert ratio(1.0, 4.0) == 0.25 and ratio(1.0, -4.0) == -0.25
    assert all(math.isnan(ratio(1.0, unit)) for unit in (0.0, 1e-45, -1e-45, math.nan))


def test_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0, math.nan])
    assert found.mean == 2.0
    assert found.high - found.mean == pytest.approx(4.302652729696 / math.sqrt(3))  # t(.975; 2) from tables
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert found.n == 3
    assert (interval([5.0]).mean, interval([5.0, math.nan]).n, interval([math.nan]).n) == (5.0, 1, 0)
    assert math.isnan(interval([5.0]).low)
    assert math.isnan(interval([]).mean)


def test_quantiles_ignore_what_has_no_value() -> None:
    found = quantiles([*map(float, range(11)), math.nan])
    assert (found.median, found.p10, found.p90, found.n) == (5.0, 1.0, 9.0, 11)
    nothing = quantiles([math.nan])
    assert math.isnan(nothing.median) and nothing.n == 0
