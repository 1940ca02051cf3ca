"""Statistics against enumeration, tables and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from unlearn.audit.statistics import (
    clopper_pearson,
    equivalence,
    holm,
    least_pairs,
    margin_of_retrains,
    paired,
)


def test_five_pairs_are_refused_with_the_reason() -> None:
    found = paired([1.0] * 5, [0.0] * 5)
    assert found.p_value is None
    assert found.reason is not None and "6 pairs" in found.reason and "0.0625" in found.reason


def test_the_least_number_of_pairs_is_that_from_which_holm_can_reach_5_percent() -> None:
    for tests in range(1, 30):
        n = least_pairs(tests)
        assert tests * 2 / 2**n <= 0.05 < tests * 2 / 2 ** (n - 1)
    assert (least_pairs(), least_pairs(3)) == (6, 7)
    refused = paired([1.0] * 6, [0.0] * 6, tests=3)
    assert refused.p_value is None
    assert refused.reason is not None and "7 pairs" in refused.reason and "0.09375" in refused.reason
    found = paired([1.0] * 7, [0.0] * 7, tests=3).p_value
    assert found is not None and holm(dict.fromkeys("abc", found))["a"] <= 0.05


def test_six_and_eight_pairs_reach_what_they_can() -> None:
    for n, least in ((6, 0.03125), (8, 0.0078125)):
        right = [0.1 * k for k in range(n)]
        left = [1.0 + 0.21 * k for k in range(n)]
        assert paired(left, right).p_value == pytest.approx(least)


@pytest.mark.parametrize("n", [8, 13])
def test_the_permutation_test_equals_enumeration(n: int) -> None:
    differences = np.random.default_rng(0).normal(0.4, 1.0, size=n)
    means = np.array(list(itertools.product((1, -1), repeat=n))) @ differences / n
    expected = np.mean(np.abs(means) >= abs(differences.mean()) - 1e-12)
    assert paired(list(differences), [0.0] * n).p_value == pytest.approx(expected)


def test_a_pair_of_which_one_side_is_missing_is_none() -> None:
    left, right = [1.0, 2.5, 0.5, 3.0, 1.5, 2.0, 4.0], [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert paired([*left, np.nan, 9.0], [*right, 0.0, np.nan]) == paired(left, right)
    refused = paired([*left[:5], np.nan], right[:6])
    assert refused.reason is not None and "got 5" in refused.reason


def test_equal_sides_differ_in_nothing_and_unequal_lengths_are_refused() -> None:
    assert paired([1.0] * 6, [1.0] * 6).p_value == 1.0
    with pytest.raises(ValueError, match="pair up"):
        paired([1.0], [1.0, 2.0])


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({}) == {}


@given(st.floats(-0.3, 0.3), st.floats(0.05, 0.5))
def test_equivalent_exactly_where_the_90_percent_interval_is_inside(shift: float, margin: float) -> None:
    differences = np.random.default_rng(3).normal(size=9) * 0.2 + shift
    found = equivalence(list(differences), margin)
    expected = stats.t.interval(0.9, 8, differences.mean(), stats.sem(differences))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.equivalent == (-margin <= expected[0] and expected[1] <= margin)


def test_a_difference_that_is_not_significant_is_no_equivalence() -> None:
    noisy = [-1.0, 1.2, -0.8, 0.9, -1.1, 1.0]
    assert paired(noisy, [0.0] * 6).p_value > 0.5
    assert not equivalence(noisy, 0.1).equivalent
    with pytest.raises(ValueError, match="margin"):
        equivalence(noisy, 0.0)


def test_differences_that_do_not_vary_are_equivalent_where_they_lie_within_the_margin() -> None:
    for value, inside in ((0.02, True), (-0.02, True), (0.3, False), (-0.3, False)):
        found = equivalence([value] * 3, 0.1)
        assert found.equivalent == inside and (found.low, found.high) == (value, value)


def test_the_margin_is_how_far_two_retrains_surely_differ_and_no_less_than_what_nobody_minds() -> None:
    # Of two degrees of freedom the chi-square distribution is exponential: its upper 5 % lie beyond -2 ln .05.
    assert margin_of_retrains([0.3, -0.4], least=0.1) == pytest.approx(math.sqrt(0.25 / (-2 * math.log(0.05))))
    assert margin_of_retrains([0.003, -0.004], least=0.1) == 0.1
    assert margin_of_retrains([], least=0.1) == 0.1


@pytest.mark.parametrize("seeds", [3, 8])
def test_a_method_as_far_off_as_two_retrains_passes_in_5_of_100_evaluations_at_most(seeds: int) -> None:
    draws = np.random.default_rng(0).normal(size=(2_000, 2, seeds))
    noise = 0.02  # less of it is the harder case: then all hangs on the margin
    passed = [
        equivalence(list(1 + noise * own), margin_of_retrains(list(between), least=1e-9)).equivalent
        for between, own in draws
    ]
    assert np.mean(passed) <= 0.065
    near = [
        equivalence(list(noise * own), margin_of_retrains(list(between), least=1e-9)).equivalent
        for between, own in draws
    ]
    assert np.mean(near) > 0.95


def test_clopper_pearson_closed_forms() -> None:
    assert clopper_pearson(0, 32) == pytest.approx((0.0, 1 - 0.025 ** (1 / 32)))
    assert clopper_pearson(32, 32) == pytest.approx((0.025 ** (1 / 32), 1.0))
    low, high = clopper_pearson(7, 20)
    assert stats.binom.sf(6, 20, low) == pytest.approx(0.025)
    assert stats.binom.cdf(7, 20, high) == pytest.approx(0.025)
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(3, 2)
