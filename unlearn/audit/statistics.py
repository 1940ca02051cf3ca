"""Tests and intervals for repeated runs: pairs over seeds, equivalence, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]
LEVEL = 0.05
_DRAWS = 9_999  # of sign patterns; of up to 13 pairs there are fewer, and scipy takes every one


@dataclass(frozen=True, slots=True)
class Test:
    """A p-value, or why there is none."""

    p_value: float | None
    reason: str | None = None


def least_pairs(tests: int = 1) -> int:
    """Pairs from which one of so many paired tests can reach .05 after Holm's correction: tests * 2 / 2^n <= .05."""
    return ceil(log2(2 * tests / LEVEL))


def paired(left: Sequence[float], right: Sequence[float], *, tests: int = 1) -> Test:
    """Two-sided test that the pairs' differences are symmetric around zero; pairs share a seed and a forget set.

    A permutation test: it flips the signs of the differences and compares their mean (every pattern up to 13 pairs,
    else 9,999 drawn ones). With n pairs it cannot go below 2 / 2^n, so fewer than `least_pairs` are refused: six for
    one test (five reach .0625 at best), seven for one of three.

    Args:
        tests: how many such tests are corrected together, this one included.

    Raises:
        ValueError: the sides differ in length.
    """
    if len(left) != len(right):
        raise ValueError(f"`left` and `right` must pair up for `paired` (got {len(left)} and {len(right)} values)")
    differences = np.asarray(left, dtype=np.float64) - np.asarray(right, dtype=np.float64)
    differences = differences[np.isfinite(differences)]
    needed, least = least_pairs(tests), 2 / 2 ** len(differences)
    if len(differences) < needed:
        among = f" among {tests} figures" if tests > 1 else ""
        corrected = f", corrected {min(1.0, tests * least):.4g}" if tests > 1 else ""
        got = f"got {len(differences)}, whose smallest two-sided p-value is {least:.4g}{corrected}"
        return Test(None, f"needs {needed} pairs for .05{among} ({got})")
    if not differences.any():
        return Test(1.0)
    found: Any = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=_DRAWS, rng=np.random.default_rng(0)
    )
    return Test(float(found.pvalue))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment: at most .05 after it, and the chance of any false alarm among all is at most .05."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided t tests: equivalent at 5 % exactly where the 90 % interval lies within the margin."""

    p_value: float
    low: float
    high: float
    margin: float

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown to lie within the margin."""
        return self.p_value <= LEVEL


def equivalence(differences: Sequence[float], margin: float) -> Equivalence:
    """TOST: whether the mean difference lies in (-margin, margin); a difference that is not significant is no proof.

    Args:
        margin: depends on none of the differences; see `margin_of_retrains`.

    Raises:
        ValueError: fewer than two differences, or a margin that is not positive.
    """
    values = np.asarray(differences, dtype=np.float64)
    problems: list[str] = []
    if len(values) < 2:
        problems.append(f"`differences` must be at least 2 for `equivalence` (got {len(values)})")
    if not margin > 0:
        problems.append(f"`margin` must be positive for `equivalence` (got {margin})")
    if problems:
        raise ValueError("\n".join(problems))
    mean, error = float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5
    if error == 0.0:
        return Equivalence(0.0 if abs(mean) < margin else 1.0, mean, mean, margin)
    free = len(values) - 1
    p_value = float(stats.t.sf((margin - abs(mean)) / error, free))
    half = float(stats.t.ppf(1 - LEVEL, free)) * error
    return Equivalence(p_value, mean - half, mean + half, margin)


def margin_of_retrains(differences: Sequence[float], *, least: float) -> float:
    """What two retrains of the same request surely differ by, as a root mean square, and at least `least`.

    A method within it is no farther from a retrain than another retrain is, or than anybody minds. How figures differ
    between requests is no part of it: a method and its retrain share the request.

    Surely is the lower end of a one-sided 95 % interval (of n normal differences around 0, n times their mean square
    over its expectation is chi-square of n degrees of freedom). By the estimate itself, which half of the time is too
    large, `equivalence` would pass a method as far off as two retrains are in up to .38 of evaluations of three seeds
    and .42 of eight; by its lower end it does in .05 at most (200,000 draws each, noises of .01 to 1 of that).

    Args:
        differences: of one figure between the two retrains, one a seed; none leaves `least`.
        least: the largest difference that is indifferent in practice, declared beforehand.
    """
    n = len(differences)
    if not n:
        return least
    sum_of_squares = float(np.sum(np.square(differences)))
    return max(least, (sum_of_squares / float(stats.chi2.ppf(1 - LEVEL, n))) ** 0.5)


def clopper_pearson(successes: int, trials: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Exact two-sided interval of a proportion: each end is wrong with probability at most level / 2.

    Raises:
        ValueError: more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"`successes` must lie in [0, {trials}] for `clopper_pearson` (got {successes})")
    # Beta quantiles: what scipy's binomtest searches for, at a thousandth of its time.
    low = special.betaincinv(successes, trials - successes + 1, level / 2) if successes else 0.0
    high = special.betaincinv(successes + 1, trials - successes, 1 - level / 2) if successes < trials else 1.0
    return float(low), float(high)
