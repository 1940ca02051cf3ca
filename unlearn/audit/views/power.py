"""Where the spread over runs comes from, and how small a difference so many runs could have shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan, sqrt
from typing import Any

import numpy as np
from scipy.special import nctdtrinc, stdtrit

from unlearn.audit.statistics import LEVEL

_POWER = 0.8
_RUNS = tuple(range(2, 21))
_FIGURES = ("forget_auc", "ndcg_at_20", "recall_at_20", "overlap")
_REFERENCE = "retrain"

Runs = Mapping[tuple[int, int], Mapping[str, float | None]]  # figures by seed and request


def power(comparison: Mapping[str, Any]) -> dict[str, Any] | None:
    """For each method and figure, over paired runs of method and retrain (same seed, same requests):

        sigma_S^2 = variance over training seeds, sigma_U^2 = variance over the seeds of the method itself
        Var(mean) = sigma_S^2 / T + sigma_U^2 / (T R)
        smallest = d s / sqrt(T),   s^2 = sigma_S^2 + sigma_U^2 / R,   P[t_{T-1}(d) > t_{.975, T-1}] = .8

    With T training runs, one a seed (over its requests the mean is taken: they share a model and are no runs of their
    own), R runs of the method on each, and t_{T-1}(d) noncentral t. R is above 1 where the comparison holds the method
    more than once with nothing but `seed` changed; sigma_U is null otherwise: more runs of the method replace no
    training seed. None where there is no second seed.
    """
    values: dict[str, dict[tuple[int, int], Mapping[str, float | None]]] = {}
    for one in comparison["raw"]["measurements"]:
        values.setdefault(one["method"], {})[one["seed"], one["request"]] = one["values"]
    against = values.get(_REFERENCE, {})
    families = _families(comparison.get("settings", {}).get("methods", {}), list(values))
    rows: list[dict[str, Any]] = []
    for family, labels in families.items():
        for figure in _FIGURES:
            seeds = _differences([values[label] for label in labels], against, figure)
            if len(seeds) > 1:
                rows.append({"method": family, "figure": figure, **decomposed(seeds)})
    return {"level": LEVEL, "power": _POWER, "runs": list(_RUNS), "rows": rows} if rows else None


def _differences(methods: Sequence[Runs], against: Runs, figure: str) -> list[list[float]]:
    """Mean differences to the retrain [seeds][methods], over the requests for which all of them have the figure."""
    by_seed: dict[int, list[list[float]]] = {}
    for unit, retrain in against.items():
        mine = [value for one in methods if (value := one.get(unit, {}).get(figure)) is not None]
        theirs = retrain.get(figure)
        if theirs is not None and len(mine) == len(methods):
            by_seed.setdefault(unit[0], []).append([value - theirs for value in mine])
    return [np.mean(requests, axis=0).tolist() for requests in by_seed.values()]


def decomposed(units: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Variance components of differences [T][R], by the method of moments, and what they could have shown."""
    table = np.array(units, dtype=np.float64)
    t, r = table.shape
    between = float(table.mean(axis=1).var(ddof=1))
    within = float(table.var(axis=1, ddof=1).mean()) if r > 1 else nan
    seeds = max(between - within / r, 0.0) if r > 1 else between
    spread = sqrt(between)
    return {
        "difference": float(table.mean()),
        "training_runs": t,
        "method_runs": r,
        "sigma_s": sqrt(seeds),
        "sigma_u": sqrt(within) if r > 1 else nan,
        "smallest": smallest(spread, t),
        "smallest_by_runs": [smallest(spread, runs) for runs in _RUNS],
    }


def smallest(spread: float, runs: int) -> float:
    """The smallest difference that `runs` paired runs detect with 80 % power in a two-sided t test at 5 %."""
    critical = stdtrit(runs - 1, 1 - LEVEL / 2)
    return float(nctdtrinc(runs - 1, 1 - _POWER, critical)) * spread / sqrt(runs)


def _families(arguments: Mapping[str, Mapping[str, Any]], labels: Sequence[str]) -> dict[str, list[str]]:
    """Rows that differ in nothing but their seed, by the first one's name; retrain and placebo are no methods."""
    found: dict[str, list[str]] = {}
    for label in labels:
        if label in (_REFERENCE, "placebo"):
            continue
        own = {name: value for name, value in arguments.get(label, {}).items() if name != "seed"}
        found.setdefault(f"{label.partition('(')[0]} {sorted(own.items())}", []).append(label)
    return {members[0]: members for members in found.values()}
