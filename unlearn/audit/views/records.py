"""What each single record still tells: one log-likelihood ratio a record, not one pooled threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import stdtrit

from unlearn.audit.attacks.base import TooFew
from unlearn.audit.attacks.groups import usable
from unlearn.audit.attacks.u_lira import likelihood_ratios
from unlearn.audit.measures import quantiles
from unlearn.audit.views.signals import FORGET, by_method, matrices

_SHOWN = 120


def records(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """For each method, the records by how much models that unlearned them differ from models that never had them.

        value = mean over models that unlearned the record of log p(x | unlearned) - log p(x | never had it)

    with the 95 % t interval over these models; 0 is what chance reads, up to what it costs to fit few models.
    The largest first; of more than 120 records an even choice by rank, both ends included. `strata` are quantiles over
    all records of a level, where `views.records.groups` has, by the name of a grouping, its `levels` in order and of
    which each record is (`of`).
    """
    groups: Mapping[str, Any] = document.get("views", {}).get("records", {}).get("groups", {})
    found = {
        method: view
        for method, parts in by_method(document).items()
        if FORGET in parts and (view := _of_method(parts[FORGET], groups)) is not None
    }
    return found or None


def _of_method(part: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any] | None:
    values, member, blocks = matrices(part)
    try:
        columns = usable(member, least=4)
    except TooFew:
        return None
    member = member[:, columns]
    ratios = likelihood_ratios(values[:, columns], member, blocks)
    n = member.sum(0)
    means = np.where(member, ratios, 0.0).sum(0) / n
    spread = np.sqrt(np.where(member, (ratios - means) ** 2, 0.0).sum(0) / (n - 1))
    half = stdtrit(n - 1, 0.975) * spread / np.sqrt(n)
    order = np.argsort(-means, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), _SHOWN)).round().astype(np.int64))]
    return {
        "records": len(columns),
        "models": len(values),
        "above_zero": float((means - half > 0).mean()),
        "by_chance": 0.025,
        "rows": [
            {
                "value": float(means[e]),
                "low": float(means[e] - half[e]),
                "high": float(means[e] + half[e]),
                "groups": {name: group["of"][columns[e]] for name, group in groups.items()},
            }
            for e in shown
        ],
        "strata": {
            name: {level: _spread(means[[group["of"][c] == level for c in columns]]) for level in group["levels"]}
            for name, group in groups.items()
        },
    }


def _spread(values: np.ndarray[Any, Any]) -> dict[str, float | int]:
    found = quantiles(values.tolist())
    return {"median": found.median, "p10": found.p10, "p90": found.p90, "n": found.n}
