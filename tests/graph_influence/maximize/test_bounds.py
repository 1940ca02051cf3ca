"""Constants to the integer, bounds to fifty digits, and how often they fail."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import comb, exp, log

import numpy as np
import pytest

from graph_influence.maximize import bounds

GREEDY = 1 - 1 / Decimal(1).exp()


def digits(function):
    """Evaluate with fifty digits."""

    def evaluated(*arguments):
        with localcontext() as context:
            context.prec = 50
            return float(function(*arguments))

    return evaluated


@digits
def exact_below(covered, sets, n, a):
    a = Decimal(a)
    root = (covered + 2 * a / 9).sqrt() - (a / 2).sqrt()
    return max(root * root - a / 18, Decimal(0)) * n / sets if root > 0 else Decimal(0)


@digits
def exact_above(covered, sets, n, a):
    a = Decimal(a)
    return min(((covered + a / 2).sqrt() + (a / 2).sqrt()) ** 2 * n / sets, Decimal(n))


@digits
def exact_enough(n, k, eps, delta):
    tail = (6 / Decimal(delta)).ln()
    one = (1 - 1 / Decimal(1).exp()) * tail.sqrt()
    two = ((1 - 1 / Decimal(1).exp()) * (Decimal(comb(n, k)).ln() + tail)).sqrt()
    return 2 * n * (one + two) ** 2 / (Decimal(eps) ** 2 * k)


@digits
def exact_imm(n, k, eps, exponent):
    e, x = Decimal(eps), Decimal(exponent)
    one = (x * Decimal(n).ln() + Decimal(2).ln()).sqrt()
    ratio = 1 - 1 / Decimal(1).exp()
    two = (ratio * (Decimal(comb(n, k)).ln() + x * Decimal(n).ln() + Decimal(2).ln())).sqrt()
    return 2 * n * (ratio * one + two) ** 2 / e**2


@digits
def exact_hist(n, k, sentinels, eps, delta):
    tail = (9 / Decimal(delta)).ln()
    root = tail.sqrt() + (GREEDY * (Decimal(comb(n, k - sentinels)).ln() + tail)).sqrt()
    return 2 * n * root**2 / (Decimal(eps) ** 2 * k)


@pytest.mark.parametrize("sentinels", [0, 3, 49])
def test_hist_ends_with_as_many_sets_as_the_paper_says(sentinels):
    found = bounds.hist_sets(15233, 50, sentinels, 0.05, 1 / 15233)
    assert found == pytest.approx(exact_hist(15233, 50, sentinels, 0.05, 1 / 15233), rel=1e-12)


@pytest.mark.parametrize(("n", "first"), [(15233, 570), (37154, 642), (75879, 699), (82168, 705), (7115, 509)])
def test_opim_begins_with_the_published_number_of_sets(n, first):
    most = bounds.sets_enough(n, bounds.GREEDY, bounds.log_binomial(n, 50), 50, 0.1, 1 / n)
    assert int(most * 0.1**2 * 50 / n) == first


@pytest.mark.parametrize(("n", "search", "sets"), [(15233, 5.518e8, 8.645e8), (75879, 3.401e9, 5.281e9)])
def test_imm_has_the_published_constants(n, search, sets):
    exponent = 1 + log(2) / log(n)
    assert bounds.imm_search(n, 50, 0.1, exponent) == pytest.approx(search, rel=1e-4)
    assert bounds.imm_sets(n, 50, 0.1, exponent) == pytest.approx(sets, rel=1e-4)


@pytest.mark.parametrize(("n", "k", "eps"), [(2, 1, 0.1), (15233, 50, 0.1), (10**6, 1000, 0.01), (500, 499, 0.3)])
def test_constants_agree_with_fifty_digits(n, k, eps):
    enough = bounds.sets_enough(n, bounds.GREEDY, bounds.log_binomial(n, k), k, eps, 1 / n)
    assert enough == pytest.approx(exact_enough(n, k, eps, 1 / n), rel=1e-9)
    assert bounds.imm_sets(n, k, eps, 1.5) == pytest.approx(exact_imm(n, k, eps, 1.5), rel=1e-9)


@pytest.mark.parametrize("covered", [0, 1, 10, 5_000, 2_000_000])
@pytest.mark.parametrize("a", [0.5, 13.4, 200.0])
def test_bounds_agree_with_fifty_digits(covered, a):
    arguments = covered, 2_500_000, 15_233, a
    assert bounds.spread_below(*arguments) == pytest.approx(exact_below(*arguments), rel=1e-11, abs=1e-12)
    assert bounds.spread_above(*arguments) == pytest.approx(exact_above(*arguments), rel=1e-12)


@pytest.mark.parametrize("share", [0.002, 0.06, 0.5])
def test_bounds_fail_as_rarely_as_they_say_and_not_much_more_rarely(share):
    n, sets, runs, p = 1000, 4_000, 200_000, 0.02
    covered, often = np.unique(np.random.default_rng(3).binomial(sets, share, runs), return_counts=True)
    below = np.array([bounds.spread_below(int(c), sets, n, log(1 / p)) for c in covered])
    above = np.array([bounds.spread_above(int(c), sets, n, log(1 / p)) for c in covered])
    for fails in (below > share * n, above < share * n):
        rate = often[fails].sum() / runs
        assert rate <= p + 4 * (p / runs) ** 0.5
        assert rate > p / 1000


def test_what_little_was_covered_proves_nothing():
    assert bounds.spread_below(0, 100, 50, 13.0) == 0.0
    assert bounds.spread_below(3, 100, 50, 13.0) == 0.0  # the difference of the roots is negative: its square is not
    assert bounds.spread_above(100, 100, 50, 13.0) == 50


@pytest.mark.parametrize("n", [2, 3, 100, 15_233])
def test_the_exponent_is_the_least_for_which_all_numbers_of_sets_are_covered(n):
    k, eps, before = max(n // 300, 1), 0.1, 1 + log(2) / log(n)
    after = bounds.imm_exponent(n, k, eps, before)
    assert bounds.imm_sets(n, k, eps, after) <= n ** (after - before) * (1 + 1e-9)
    assert bounds.imm_sets(n, k, eps, after - 1e-3) > n ** (after - 1e-3 - before)


def test_looks_spend_no_more_than_delta():
    delta = 0.01
    spent = sum(2 * exp(-bounds.spent(delta, look)) for look in range(1, 100_000))
    assert 0.9999 * delta < spent <= delta


def test_doublings_end_at_what_is_enough():
    assert [bounds.doublings(most, 100) for most in (50, 100, 101, 200, 201, 6400)] == [1, 1, 1, 1, 2, 6]
