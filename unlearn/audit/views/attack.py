"""Threshold attacks on scores: histograms, receiver operating characteristics, and the worst case over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

Values = NDArray[np.float64]

_BINS = 40
_POINTS = 61


@dataclass(frozen=True, eq=False)
class Sample:
    """What one attack reads of one method: the larger a value, the more it speaks for membership."""

    attack: str
    method: str
    positive: tuple[str, ...]  # JSON pointers to lists of values of forgotten examples
    negative: tuple[str, ...]  # the same for examples that were never seen


def attacks(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Every attack on every method, and for each method the envelope: the best any of them reads, either way round."""
    samples = _samples(document)
    read = [
        (one, _pooled(document, one.positive), _pooled(document, one.negative))
        for one in samples
    ]  # fmt: skip
    usable = [(one, p, n) for one, p, n in read if len(p) and len(n)]
    if not usable:
        return None
    methods = dict.fromkeys(one.method for one, _, _ in usable)
    return {
        "attacks": [
            {
                "name": name,
                "methods": [_described(one, p, n) for one, p, n in usable if one.attack == name],
            }
            for name in dict.fromkeys(one.attack for one, _, _ in usable)
        ],
        "envelope": {name: _envelope([(p, n) for one, p, n in usable if one.method == name]) for name in methods},
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


def clopper_pearson(hits: Values, n: int, *, level: float = 0.95) -> tuple[Values, Values]:
    """Exact binomial interval [k] of the rates hits / n.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", 1934.
    """
    tail = (1 - level) / 2
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), n - hits + 1, tail), 0.0)
    high = np.where(hits < n, betaincinv(hits + 1, np.maximum(n - hits, 1), 1 - tail), 1.0)
    return low, high


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


def _described(one: Sample, positive: Values, negative: Values) -> dict[str, Any]:
    everything = np.concatenate([positive, negative])
    candidates = np.unique(everything)
    tpr = 1 - np.searchsorted(np.sort(positive), candidates, side="left") / len(positive)
    fpr = 1 - np.searchsorted(np.sort(negative), candidates, side="left") / len(negative)
    threshold = float(candidates[np.argmax(np.abs(tpr - fpr))])
    area, low, high = auc_interval(positive, negative)
    grid = _grid(len(negative))
    caught = detection(positive, negative, grid)
    lower, upper = clopper_pearson(np.round(caught * len(positive)), len(positive))
    edges = np.linspace(everything.min(), everything.max(), _BINS + 1)
    return {
        "method": one.method,
        "positive": list(one.positive),
        "negative": list(one.negative),
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
        "roc": {"fpr": grid.tolist(), "tpr": caught.tolist(), "low": lower.tolist(), "high": upper.tolist()},
    }


def _envelope(samples: Sequence[tuple[Values, Values]]) -> dict[str, Any]:
    grid = _grid(max(len(negative) for _, negative in samples))
    curves = [detection(way * p, way * n, grid) for p, n in samples for way in (1.0, -1.0)]
    return {"fpr": grid.tolist(), "tpr": np.max(curves, axis=0).tolist()}


def _grid(n_negative: int) -> Values:
    """False alarm rates from the smallest that exists to 1, evenly on a log scale."""
    return np.logspace(-log10(n_negative), 0, _POINTS)


def _samples(document: Mapping[str, Any]) -> list[Sample]:
    """One attack by the plain scores of every comparison row; those that the audit adds come with their own names."""
    raw = document.get("comparison", {}).get("raw", {}).get("measurements", [])
    rows: dict[str, list[int]] = {}
    for number, one in enumerate(raw):
        rows.setdefault(one["method"], []).append(number)
    return [
        Sample("score", method, *(
            tuple(f"/comparison/raw/measurements/{number}/raw/{side}" for number in numbers)
            for side in ("positive", "negative")
        ))
        for method, numbers in rows.items()
    ]  # fmt: skip


def _pooled(document: Mapping[str, Any], pointers: Sequence[str]) -> Values:
    values: list[float] = []
    for pointer in pointers:
        found: Any = document
        for key in pointer.split("/")[1:]:
            found = found[int(key) if isinstance(found, list) else key]
        values += [value for value in found if value is not None]
    return np.array(values, dtype=np.float64)
