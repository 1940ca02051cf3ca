"""Threshold attacks on scores: histograms, receiver operating characteristics, and the worst case over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log10, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from unlearn.audit.statistics import clopper_pearson
from unlearn.audit.views.signals import by_method, calibrated

Values = NDArray[np.float64]

_BINS = 40
_POINTS = 61


_KEPT = 1_000  # values of a side that the page holds of what is computed here


@dataclass(frozen=True, eq=False)
class Sample:
    """What one attack reads of one method: the larger a value, the more it speaks for membership."""

    attack: str
    method: str
    positive: Values  # of forgotten examples
    negative: Values  # of examples that were never seen
    pointers: dict[str, list[str]]  # JSON pointers to the lists that hold the values of either side


def attacks(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Every attack on every method, and for each method the envelope: the best any of them reads, either way round.

    By plain scores from the comparison; by likelihood ratios and relative likelihoods from the signals of a pool, of
    which an even choice by rank is kept under `samples`.
    """
    plain, computed = _by_score(document), _by_signals(document)
    samples = [one for one in (*plain, *computed) if len(one.positive) and len(one.negative)]
    if not samples:
        return None
    return {
        "attacks": [
            {"name": name, "methods": [_described(one) for one in samples if one.attack == name]}
            for name in dict.fromkeys(one.attack for one in samples)
        ],
        "envelope": {
            name: _envelope([(one.positive, one.negative) for one in samples if one.method == name])
            for name in dict.fromkeys(one.method for one in samples)
        },
        "samples": {
            attack: {
                one.method: {"positive": one.positive.tolist(), "negative": one.negative.tolist()}
                for one in computed
                if one.attack == attack
            }
            for attack in dict.fromkeys(one.attack for one in computed)
        },
    }


def rates(positive: Values, negative: Values, threshold: float) -> dict[str, float]:
    """What calling everything from `threshold` on a member comes to: right and wrong alarms, accuracy, advantage."""
    tpr, fpr = float((positive >= threshold).mean()), float((negative >= threshold).mean())
    return {"tpr": tpr, "fpr": fpr, "accuracy": (tpr + 1 - fpr) / 2, "advantage": abs(tpr - fpr)}


def detection(positive: Values, negative: Values, fpr: Values) -> Values:
    """The largest share of positives caught at no more than each of the false alarm rates [k]; no interpolation."""
    ordered = np.sort(negative)[::-1]
    allowed = np.floor(fpr * len(ordered) + 1e-9).astype(np.int64)
    # With `allowed` false alarms the threshold lies just above the next negative.
    bar = np.append(ordered, -np.inf)[np.minimum(allowed, len(ordered))]
    caught = len(positive) - np.searchsorted(np.sort(positive), bar, side="right")
    return caught / len(positive)


def auc_interval(positive: Values, negative: Values) -> tuple[float, float, float]:
    """AUC with its 95 % interval by placements.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", 1988: the variance of the mean placement of either side, added.
    """
    of_positive = _placements(positive, negative)
    of_negative = 1 - _placements(negative, positive)
    value = float(of_positive.mean())
    if min(len(positive), len(negative)) < 2:
        return value, nan, nan
    variance = of_positive.var(ddof=1) / len(positive) + of_negative.var(ddof=1) / len(negative)
    half = float(ndtri(0.975)) * sqrt(float(variance))
    return value, max(0.0, value - half), min(1.0, value + half)


def _placements(values: Values, others: Values) -> Values:
    """Share of the others that each value exceeds, ties counting half."""
    ordered = np.sort(others)
    below, not_above = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + not_above) / (2 * len(others))


def _described(one: Sample) -> dict[str, Any]:
    positive, negative = one.positive, one.negative
    everything = np.concatenate([positive, negative])
    candidates = np.unique(everything)
    tpr = 1 - np.searchsorted(np.sort(positive), candidates, side="left") / len(positive)
    fpr = 1 - np.searchsorted(np.sort(negative), candidates, side="left") / len(negative)
    threshold = float(candidates[np.argmax(np.abs(tpr - fpr))])
    area, low, high = auc_interval(positive, negative)
    grid = _grid(len(negative))
    caught = detection(positive, negative, grid)
    hits: list[int] = np.round(caught * len(positive)).astype(np.int64).tolist()
    ends = {count: clopper_pearson(count, len(positive)) for count in set(hits)}
    lower, upper = ([ends[count][side] for count in hits] for side in (0, 1))
    edges = np.linspace(everything.min(), everything.max(), _BINS + 1)
    return {
        "method": one.method,
        **one.pointers,
        "n_positive": len(positive),
        "n_negative": len(negative),
        "auc": {"value": area, "low": low, "high": high},
        "threshold": threshold,
        "at_threshold": rates(positive, negative, threshold),
        "histogram": {
            "edges": edges.tolist(),
            "positive": (np.histogram(positive, edges)[0] / len(positive)).tolist(),
            "negative": (np.histogram(negative, edges)[0] / len(negative)).tolist(),
        },
        "roc": {"fpr": grid.tolist(), "tpr": caught.tolist(), "low": lower, "high": upper},
    }


def _envelope(samples: Sequence[tuple[Values, Values]]) -> dict[str, Any]:
    grid = _grid(max(len(negative) for _, negative in samples))
    curves = [detection(way * p, way * n, grid) for p, n in samples for way in (1.0, -1.0)]
    return {"fpr": grid.tolist(), "tpr": np.max(curves, axis=0).tolist()}


def _grid(n_negative: int) -> Values:
    """False alarm rates from the smallest that exists to 1, evenly on a log scale."""
    return np.logspace(-log10(n_negative), 0, _POINTS)


def _by_score(document: Mapping[str, Any]) -> list[Sample]:
    """One threshold for all: the scores of the deleted and of held-out positives, of all seeds together."""
    raw = document.get("comparison", {}).get("raw", {}).get("measurements", [])
    rows: dict[str, list[int]] = {}
    for number, one in enumerate(raw):
        rows.setdefault(one["method"], []).append(number)

    def pooled(method: str, side: str) -> Values:
        return _numbers(value for number in rows[method] for value in raw[number]["raw"][side])

    def pointers(method: str) -> dict[str, list[str]]:
        runs = [f"/comparison/raw/measurements/{number}/raw" for number in rows[method]]
        return {side: [f"{run}/{side}" for run in runs] for side in ("positive", "negative")}

    return [Sample("score", m, pooled(m, "positive"), pooled(m, "negative"), pointers(m)) for m in rows]


def _by_signals(document: Mapping[str, Any]) -> list[Sample]:
    """Attacks that judge each example by its own models, of all seeds together."""
    found: list[Sample] = []
    for method, seeds in by_method(document).items():
        told = [calibrated(parts) for parts in seeds]
        for attack in dict.fromkeys(name for one in told for name in one):
            of_seeds = [one[attack] for one in told if attack in one]
            positive, negative = (
                np.concatenate([scores[member == side] for scores, member in of_seeds]) for side in (True, False)
            )
            place = "/".join(
                ["/derived/attack/samples", *(k.replace("~", "~0").replace("/", "~1") for k in (attack, method))]
            )
            pointers = {side: [f"{place}/{side}"] for side in ("positive", "negative")}
            found.append(Sample(attack, method, _kept(positive), _kept(negative), pointers))
    return found


def _kept(scores: Values) -> Values:
    """The scores in ascending order, six digits each, an even choice of them where there are many."""
    ordered = np.sort(scores)
    if len(ordered) > _KEPT:
        ordered = ordered[np.linspace(0, len(ordered) - 1, _KEPT).round().astype(np.int64)]
    return _numbers(float(f"{value:.6g}") for value in ordered)


def _numbers(values: Iterable[float | None]) -> Values:
    return np.array([value for value in values if value is not None], dtype=np.float64)
