"""What repeated comparisons prove: figures of a method beside the retrain's, paired by seed and request."""

from __future__ import annotations

from math import nan

import numpy as np

from unlearn.audit.comparison import Comparison
from unlearn.audit.finding import Finding, Verdict
from unlearn.audit.statistics import LEVEL, bootstrap, equivalence, holm, margin_of_retrains, paired

FIGURES = ("ndcg_at_20", "recall_at_20", "forget_auc")
_RETRAIN = "retrain"
_NOT_SHOWN = "what single users or examples lost: an average over all of them"


def findings(comparison: Comparison) -> dict[str, list[Finding]]:
    """Of every method and figure, the mean difference to the retrain.

    `pass`: within the margin by two one-sided tests, the margin being the standard deviation of the retrains' own
    figure; `fail`: not within it, and a paired permutation test, corrected by Holm for the figures of the method,
    finds a difference; else `inconclusive`, as always with fewer than six pairs that are not equivalent. Intervals are
    bootstrapped over seeds and requests.
    """
    found: dict[str, list[Finding]] = {}
    for name in comparison.names:
        if name == _RETRAIN:
            continue
        figures = {one: by_seed for one in FIGURES if (by_seed := _differences(comparison, name, one))}
        tests = {
            one: paired([d for group in groups for d in group], [0.0] * sum(map(len, groups)), kind="permutation")
            for one, groups in figures.items()
        }
        p_values = {one: test.p_value for one, test in tests.items() if test.p_value is not None}
        adjusted = holm(p_values)
        found[name] = [
            _finding(comparison, one, groups, p_values.get(one), adjusted.get(one), tests[one].reason)
            for one, groups in figures.items()
        ]
    return found


def _finding(
    comparison: Comparison,
    figure: str,
    groups: list[list[float]],
    p_value: float | None,
    adjusted: float | None,
    reason: str | None,
) -> Finding:
    flat = [value for group in groups for value in group]
    margin = margin_of_retrains(list(_values(comparison, _RETRAIN, figure).values()))
    low, high = bootstrap(groups, seed=0)
    verdict: Verdict = "inconclusive"
    if len(flat) > 1 and margin > 0 and equivalence(flat, margin).equivalent:
        verdict = "pass"
    elif adjusted is not None and adjusted <= LEVEL:
        verdict = "fail"
    return Finding(
        metric=f"{figure}_minus_retrain",
        value=float(np.mean(flat)),
        low=low,
        high=high,
        null_floor=0.0,
        resolution=margin,
        requires=("comparison.retrain",),
        verdict=verdict,
        does_not_show=_NOT_SHOWN if reason is None else f"{_NOT_SHOWN}; the paired test {reason}",
        p_value=p_value,
        by_seed=tuple(float(np.mean(group)) for group in groups),
    )


def _differences(comparison: Comparison, method: str, figure: str) -> list[list[float]]:
    """Differences to the retrain, a group a seed, one a request; those that exist."""
    mine, theirs = (_values(comparison, name, figure) for name in (method, _RETRAIN))
    groups: dict[int, list[float]] = {}
    for (seed, request), value in mine.items():
        other = theirs.get((seed, request), nan)
        if np.isfinite(value) and np.isfinite(other):
            groups.setdefault(seed, []).append(value - other)
    return list(groups.values())


def _values(comparison: Comparison, method: str, figure: str) -> dict[tuple[int, int], float]:
    rows = (one for one in comparison.measurements if one.method == method)
    return {(one.seed, one.request): nan if (v := one.values.get(figure)) is None else v for one in rows}
