"""Measures against enumeration and formed matrices."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unlearn.audit.measures import auc, interval, quantiles, score_distance, score_gap, score_norm, top_k_overlap

SMALL = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


def factors(seed: int, width: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(9, width, generator=generator), torch.randn(14, width, generator=generator)


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


@pytest.mark.parametrize("rows", [None, torch.tensor([0, 3, 8])])
def test_distance_equals_the_formed_matrix(rows: Tensor | None) -> None:
    left, right = factors(0), factors(1, width=3)
    formed = left[0].double() @ left[1].double().T - right[0].double() @ right[1].double().T
    expected = float(formed.norm() if rows is None else formed[rows].norm())
    assert score_distance(left, right, rows) == pytest.approx(expected, rel=1e-12)
    whole = left[0].double() @ left[1].double().T
    assert score_norm(left, rows) == pytest.approx(float((whole if rows is None else whole[rows]).norm()), rel=1e-12)


def test_distance_keeps_its_digits_where_factors_nearly_agree() -> None:
    users, items = (table.double() for table in factors(2))
    step = 1e-11
    moved = users + step
    formed = float(((moved - users) @ items.T).norm())
    assert score_distance((moved, items), (users, items)) == pytest.approx(formed, rel=1e-6)


def test_distance_sees_scores_and_not_the_rotation_of_tables() -> None:
    users, items = (table.double() for table in factors(3))
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))).Q
    rotated = users @ rotation, items @ rotation
    assert score_distance((users, items), rotated) < 1e-6 * score_norm((users, items))


def test_gap_is_one_for_nothing_done_and_zero_for_the_reference() -> None:
    before, reference, rows = factors(0), factors(1), torch.arange(9)
    assert score_gap(before, before, reference, rows) == 1.0
    assert score_gap(reference, before, reference, rows) == 0.0
    half = score_gap((reference[0] * 0, reference[1]), before, reference, rows)
    assert half == pytest.approx(score_norm(reference) / score_distance(before, reference))
    assert math.isnan(score_gap(before, reference, reference, rows))


def test_gap_looks_at_affected_rows_only() -> None:
    before, reference = factors(0), factors(1)
    after = before[0].clone(), reference[1]
    after[0][:4] = reference[0][:4]
    assert score_gap(after, before, reference, torch.arange(4)) == 0.0
    assert score_gap(after, before, reference, torch.arange(9)) > 0.1


def test_overlap_is_the_mean_jaccard_index() -> None:
    left = torch.tensor([[1, 2, 3], [4, 5, -1], [-1, -1, -1]])
    right = torch.tensor([[3, 1, 9], [5, -1, -1], [-1, -1, -1]])
    assert top_k_overlap(left, right) == pytest.approx((2 / 4 + 1 / 2 + 1) / 3)
    assert math.isnan(top_k_overlap(left[:0], right[:0]))


def test_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0, math.nan])
    assert found.mean == 2.0
    assert found.high - found.mean == pytest.approx(4.302652729696 / math.sqrt(3))  # t(.975; 2) from tables
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert interval([5.0]).mean == 5.0
    assert math.isnan(interval([5.0]).low)
    assert math.isnan(interval([]).mean)


def test_quantiles_ignore_what_has_no_value() -> None:
    found = quantiles([*map(float, range(11)), math.nan])
    assert (found.median, found.p10, found.p90, found.n) == (5.0, 1.0, 9.0, 11)
