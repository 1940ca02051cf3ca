"""What repeated comparisons prove: figures of a method beside the retrain's, paired by request, averaged by seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import nan

import numpy as np

from unlearn.audit.comparison import Comparison
from unlearn.audit.finding import Finding, Verdict
from unlearn.audit.measures import interval
from unlearn.audit.statistics import LEVEL, Test, equivalence, holm, margin_of_retrains, paired

FIGURES = ("ndcg_at_20", "recall_at_20", "forget_auc")
LEAST_AUC, LEAST_SHARE = 0.01, 0.01  # of the forget AUC, and of the retrain's mean utility: what nobody minds
_RETRAIN = "retrain"
_NOT_SHOWN = "what single users or examples lost: an average over all of them"
_RULE = "the larger of how far two retrains of the same requests surely differ (root mean square over seeds) and"

Value = tuple[int, int, float]  # seed, request, figure


def findings(comparison: Comparison) -> dict[str, list[Finding]]:
    """Of every method and figure, the mean difference to the retrain.

    Requests of one seed share a model and are no independent runs: differences are averaged within a seed first, and
    the seeds are what is counted. The margin is the larger of what the two retrains of a request surely differ by (root
    mean square over seeds, see `margin_of_retrains`) and what nobody minds: .01 of the forget AUC, 1 % of the retrain's
    recall and NDCG.

    `pass`: within the margin by two one-sided tests, and the method has the figure of every request that the retrain
    has it of, for the others are no fair choice; `fail`: not within it, and a paired permutation test, corrected by
    Holm for the figures of the method, finds a difference; else `inconclusive`. With m figures a `fail` takes n seeds,
    m * 2 / 2^n <= .05: seven for all three. Intervals are t intervals over seeds.
    """
    return {name: _of_method(comparison, name) for name in comparison.names if name != _RETRAIN}


def _of_method(comparison: Comparison, name: str) -> list[Finding]:
    figures = {one: groups for one in FIGURES if (groups := _differences(comparison, name, one))}
    tests = {one: paired(_means(groups), [0.0] * len(groups), tests=len(figures)) for one, groups in figures.items()}
    adjusted = holm({one: test.p_value for one, test in tests.items() if test.p_value is not None})
    return [
        _finding(comparison, one, groups, _lost(comparison, name, one), tests[one], adjusted.get(one))
        for one, groups in figures.items()
    ]


def _finding(
    comparison: Comparison, figure: str, groups: list[list[float]], lost: int, test: Test, adjusted: float | None
) -> Finding:
    means = _means(groups)
    margin, rule = _margin(comparison, figure)
    over_seeds = interval(means)
    verdict: Verdict = "inconclusive"
    if not lost and len(means) > 1 and margin > 0 and equivalence(means, margin).equivalent:
        verdict = "pass"
    elif adjusted is not None and adjusted <= LEVEL:
        verdict = "fail"
    unseen = f"{_NOT_SHOWN}; a difference within {margin:.3g}, {rule}"
    if lost:
        unseen += f"; anything of the {lost} request(s) after which the method has no such figure"
    return Finding(
        metric=f"{figure}_minus_retrain",
        value=over_seeds.mean,
        low=over_seeds.low,
        high=over_seeds.high,
        null_floor=0.0,
        resolution=margin,
        requires=("comparison.retrain",),
        verdict=verdict,
        does_not_show=unseen if test.reason is None else f"{unseen}; the paired test over seeds {test.reason}",
        p_value=test.p_value,
        by_seed=tuple(means),
    )


def _lost(comparison: Comparison, method: str, figure: str) -> int:
    """Of how many requests the retrain has the figure, and the method has none: it ended in no numbers."""
    theirs = {(seed, request) for seed, request, value in _values(comparison, _RETRAIN, figure) if np.isfinite(value)}
    mine = _values(comparison, method, figure)
    return sum((seed, request) in theirs and not np.isfinite(value) for seed, request, value in mine)


def _margin(comparison: Comparison, figure: str) -> tuple[float, str]:
    """The margin of a figure, and by which rule."""
    if figure == "forget_auc":
        least, share = LEAST_AUC, f"{LEAST_AUC:g}"
    else:
        of_seeds = _means(_by_seed(_values(comparison, _RETRAIN, figure)))
        least, share = LEAST_SHARE * float(np.mean(of_seeds)), f"{LEAST_SHARE:.0%} of the retrain's"
    margin = margin_of_retrains(_means(_by_seed(_between_retrains(comparison, figure))), least=least)
    return margin, f"{_RULE} {share}"


def _between_retrains(comparison: Comparison, figure: str) -> Iterator[Value]:
    """Of every request the difference between its two retrains."""
    for one in comparison.requests:
        first, second = (_number(each.get(figure)) for each in one.raw.get("retrains", ({}, {})))
        yield one.seed, one.request, first - second


def _differences(comparison: Comparison, method: str, figure: str) -> list[list[float]]:
    """Differences to the retrain, a group a seed, one a request; those that exist."""
    theirs = {(seed, request): value for seed, request, value in _values(comparison, _RETRAIN, figure)}
    mine = _values(comparison, method, figure)
    return _by_seed((seed, request, value - theirs.get((seed, request), nan)) for seed, request, value in mine)


def _values(comparison: Comparison, method: str, figure: str) -> list[Value]:
    rows = (one for one in comparison.measurements if one.method == method)
    return [(one.seed, one.request, _number(one.values.get(figure))) for one in rows]


def _by_seed(values: Iterable[Value]) -> list[list[float]]:
    """The values that exist, a group a seed."""
    groups: dict[int, list[float]] = {}
    for seed, _, value in values:
        if np.isfinite(value):
            groups.setdefault(seed, []).append(value)
    return list(groups.values())


def _means(groups: Iterable[list[float]]) -> list[float]:
    return [float(np.mean(group)) for group in groups]


def _number(value: float | None) -> float:
    return nan if value is None else value
