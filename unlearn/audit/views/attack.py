"""Threshold attacks on scores: histograms, receiver operating characteristics, and the worst case over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log10, nan, sqrt
from typing import Any

import numpy as np
from scipy.special import expit, logit, stdtrit

from unlearn.audit.attacks.groups import SHARE, Mask, by_membership
from unlearn.audit.chance import Chance
from unlearn.audit.statistics import Floats, clopper_pearson
from unlearn.audit.views.signals import DRAWS, Scores, by_method, calibrated

Intervals = tuple[dict[str, float], list[float], list[float]]  # of the AUC, and the ends of every rate

_BINS = 40
_POINTS = 61
ASKED = (0.01, 0.1)  # false alarm rates at which a table says what is caught


_KEPT = 1_000  # values of a side that the page holds of what is computed here


@dataclass(frozen=True, eq=False)
class Sample:
    """What one attack reads of one method: the larger a value, the more it speaks for membership."""

    attack: str
    method: str
    positive: Floats  # of forgotten examples
    negative: Floats  # of examples that were never seen
    kept: tuple[Floats, Floats]  # of either side as many as the document holds
    pointers: dict[str, list[str]]  # JSON pointers to the lists that hold those
    null: Floats | None = None  # AUC and detection by `_grid` [draws, 1 + points] when models exchange who had what


def attacks(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Every attack on every method, and for each method the envelope: the best any of them reads, either way round.

    By plain scores from the comparison; by likelihood ratios and relative likelihoods from the signals of a pool, of
    which an even choice by rank is kept under `samples`: areas and curves are those of all, what depends on a threshold
    is that of the choice.

    Intervals of the former are `over` examples: these models, asked about other examples (AUC by placements, rates by
    Clopper-Pearson). Scores of a pool depend on each other, those of one model and those of one example, so intervals
    are over models, as those of `u_lira` are: `chance` is what the attack reads when the models exchange who had been
    trained on what, and lies outside as often as it should by chance.
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
            name: _envelope([one for one in samples if one.method == name])
            for name in dict.fromkeys(one.method for one in samples)
        },
        "samples": {
            attack: {
                one.method: {side: values.tolist() for side, values in zip(one.pointers, one.kept, strict=True)}
                for one in computed
                if one.attack == attack
            }
            for attack in dict.fromkeys(one.attack for one in computed)
        },
    }


def rates(positive: Floats, negative: Floats, threshold: float) -> dict[str, float]:
    """What calling everything from `threshold` on a member comes to: right and wrong alarms, accuracy, advantage."""
    tpr, fpr = float((positive >= threshold).mean()), float((negative >= threshold).mean())
    return {"tpr": tpr, "fpr": fpr, "accuracy": (tpr + 1 - fpr) / 2, "advantage": abs(tpr - fpr)}


def detection(positive: Floats, negative: Floats, fpr: Floats) -> Floats:
    """The largest share of positives caught at no more than each of the false alarm rates [k]; no interpolation."""
    ordered = np.sort(negative)[::-1]
    allowed = np.floor(fpr * len(ordered) + 1e-9).astype(np.int64)
    # With `allowed` false alarms the threshold lies just above the next negative.
    bar = np.append(ordered, -np.inf)[np.minimum(allowed, len(ordered))]
    caught = len(positive) - np.searchsorted(np.sort(positive), bar, side="right")
    return caught / len(positive)


def auc_interval(positive: Floats, negative: Floats) -> tuple[float, float, float]:
    """AUC with its 95 % interval by placements.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", 1988: the variance of the mean placement of either side, added; with Satterthwaite's degrees
    of freedom, as Brunner and Munzel, "The nonparametric Behrens-Fisher problem", 2000, for sides of a few values. The
    values of a side must be independent, as those of one model are over examples.
    """
    of_positive = _placements(positive, negative)
    of_negative = 1 - _placements(negative, positive)
    value = float(of_positive.mean())
    if min(len(positive), len(negative)) < 2:
        return value, nan, nan
    parts = np.array([side.var(ddof=1) / len(side) for side in (of_positive, of_negative)])
    variance = float(parts.sum())
    if variance == 0.0:
        pairs = min(len(positive), len(negative))
        return value, *clopper_pearson(round(value * pairs), pairs)
    freedom = variance**2 / float((parts**2 / [len(positive) - 1, len(negative) - 1]).sum())
    half = float(stdtrit(freedom, 0.975)) * sqrt(variance) / (value * (1 - value))
    return value, float(expit(logit(value) - half)), float(expit(logit(value) + half))


def _placements(values: Floats, others: Floats) -> Floats:
    """Share of the others that each value exceeds, ties counting half."""
    ordered = np.sort(others)
    below, not_above = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + not_above) / (2 * len(others))


def _described(one: Sample) -> dict[str, Any]:
    positive, negative = one.kept
    everything = np.concatenate([positive, negative])
    candidates = np.unique(everything)
    tpr = 1 - np.searchsorted(np.sort(positive), candidates, side="left") / len(positive)
    fpr = 1 - np.searchsorted(np.sort(negative), candidates, side="left") / len(negative)
    threshold = float(candidates[np.argmax(np.abs(tpr - fpr))])
    grid = _grid(len(negative))
    caught = detection(one.positive, one.negative, grid)
    area, lower, upper = _over_examples(positive, negative, caught) if one.null is None else _over_models(one, caught)
    edges = np.histogram_bin_edges(everything, _BINS)  # wider than their one value where all are equal
    return {
        "method": one.method,
        **one.pointers,
        "n_positive": len(positive),
        "n_negative": len(negative),
        "over": "examples" if one.null is None else "models",
        "auc": area,
        "threshold": threshold,
        "at_threshold": rates(positive, negative, threshold),
        "histogram": {
            "edges": edges.tolist(),
            "positive": (np.histogram(positive, edges)[0] / len(positive)).tolist(),
            "negative": (np.histogram(negative, edges)[0] / len(negative)).tolist(),
        },
        "roc": {"fpr": grid.tolist(), "tpr": caught.tolist(), "low": lower, "high": upper},
    }


def _over_examples(positive: Floats, negative: Floats, caught: Floats) -> Intervals:
    value, low, high = auc_interval(positive, negative)
    hits: list[int] = np.round(caught * len(positive)).astype(np.int64).tolist()
    ends = {count: clopper_pearson(count, len(positive)) for count in set(hits)}
    lower, upper = ([ends[count][side] for count in hits] for side in (0, 1))
    return {"value": value, "low": low, "high": high, "chance": 0.5}, lower, upper


def _over_models(one: Sample, caught: Floats) -> Intervals:
    assert one.null is not None
    value = auc_interval(one.positive, one.negative)[0]
    area = Chance.of(value, one.null[:, 0], within=SHARE)
    rates = [Chance.of(rate, null, within=SHARE) for rate, null in zip(caught.tolist(), one.null[:, 1:].T, strict=True)]
    lower, upper = [min(each.low, each.value) for each in rates], [max(each.high, each.value) for each in rates]
    return {"value": value, "low": area.low, "high": area.high, "chance": area.floor}, lower, upper


def _envelope(samples: Sequence[Sample]) -> dict[str, Any]:
    grid = _grid(max(len(one.kept[1]) for one in samples))
    curves = [detection(way * one.positive, way * one.negative, grid) for one in samples for way in (1.0, -1.0)]
    return {"fpr": grid.tolist(), "tpr": np.max(curves, axis=0).tolist()}


def _grid(n_negative: int) -> Floats:
    """False alarm rates from the smallest that exists to 1, evenly on a log scale, and those that are asked for."""
    asked = [rate for rate in ASKED if rate * n_negative >= 1]
    return np.unique(np.round([*np.logspace(-log10(n_negative), 0, _POINTS), *asked], 12))


def _by_score(document: Mapping[str, Any]) -> list[Sample]:
    """One threshold for all: the scores of the deleted and of held-out positives, of all seeds together."""
    raw = document.get("comparison", {}).get("raw", {}).get("measurements", [])
    rows: dict[str, list[int]] = {}
    for number, one in enumerate(raw):
        rows.setdefault(one["method"], []).append(number)

    def pooled(method: str, side: str) -> Floats:
        return _numbers(value for number in rows[method] for value in raw[number]["raw"][side])

    def pointers(method: str) -> dict[str, list[str]]:
        runs = [f"/comparison/raw/measurements/{number}/raw" for number in rows[method]]
        return {side: [f"{run}/{side}" for run in runs] for side in ("positive", "negative")}

    told = {method: (pooled(method, "positive"), pooled(method, "negative")) for method in rows}
    return [Sample("score", method, *sides, sides, pointers(method)) for method, sides in told.items()]


def _by_signals(document: Mapping[str, Any]) -> list[Sample]:
    """Attacks that judge each example by its own models, of all seeds together."""
    found: list[Sample] = []
    for method, seeds in by_method(document).items():
        told = [calibrated(parts) for parts in seeds]
        for attack in dict.fromkeys(name for _, _, scores in told for name in scores):
            of_seeds = [(member, blocks, scores[attack]) for member, blocks, scores in told if attack in scores]
            sides, exchanged = _exchanged(of_seeds)
            kept = _kept(sides[0]), _kept(sides[1])
            grid = _grid(len(kept[1]))
            null = [[auc_interval(p, n)[0], *detection(p, n, grid)] for p, n in exchanged]
            place = "/".join(
                ["/derived/attack/samples", *(k.replace("~", "~0").replace("/", "~1") for k in (attack, method))]
            )
            pointers = {side: [f"{place}/{side}"] for side in ("positive", "negative")}
            found.append(Sample(attack, method, *sides, kept, pointers, np.array(null)))
    return found


def _exchanged(
    seeds: Sequence[tuple[Mask, list[int], Scores]],
) -> tuple[tuple[Floats, Floats], Iterator[tuple[Floats, Floats]]]:
    """Scores of members and of others over all seeds: as they are, and in each draw of an exchange of membership."""

    def sides(member: Mask, scores: Scores) -> Floats:
        told = scores(member)
        return np.concatenate([told[side].reshape(len(told), -1) for side in (member, ~member)], axis=1)

    read = [
        by_membership(lambda labels, s=scores: sides(labels, s), member, blocks, draws=DRAWS, seed=place)
        for place, (member, blocks, scores) in enumerate(seeds)
    ]
    ends = [int(member.sum()) for member, _, _ in seeds]

    def joined(rows: Sequence[Floats]) -> tuple[Floats, Floats]:
        first, second = ([row[part] for row, part in zip(rows, parts, strict=True)] for parts in halves)
        return np.concatenate(first), np.concatenate(second)

    halves = [slice(end) for end in ends], [slice(end, None) for end in ends]
    return joined([own for own, _ in read]), (joined([null[draw] for _, null in read]) for draw in range(DRAWS))


def _kept(scores: Floats) -> Floats:
    """The scores in ascending order, six digits each, an even choice of them where there are many."""
    ordered = np.sort(scores)
    if len(ordered) > _KEPT:
        ordered = ordered[np.linspace(0, len(ordered) - 1, _KEPT).round().astype(np.int64)]
    return _numbers(float(f"{value:.6g}") for value in ordered)


def _numbers(values: Iterable[float | None]) -> Floats:
    return np.array([value for value in values if value is not None], dtype=np.float64)
