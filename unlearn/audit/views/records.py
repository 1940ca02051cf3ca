"""What each single record still tells: one log-likelihood ratio a record, not one pooled threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from unlearn.audit.attacks.base import TooFew
from unlearn.audit.attacks.groups import Mask, by_membership, usable
from unlearn.audit.attacks.u_lira import likelihood_ratios
from unlearn.audit.measures import quantiles
from unlearn.audit.statistics import LEVEL, Floats
from unlearn.audit.views.signals import DRAWS, FORGET, by_method, matrices

BEFORE = "before.forget"
_SHOWN = 120
_THIRDS = ("low", "middle", "high")


def records(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """For each method, the records by how much models that unlearned them differ from models that never had them.

        value = mean over models that unlearned the record of log p(x | unlearned) - log p(x | never had it)

    with the 95 % t interval over these models; 0 is what chance reads, up to what it costs to fit few models. The fit
    joins models and records, so the share of records whose interval lies above zero is not one in forty by chance:
    `by_chance` says what it is when models exchange who had been trained on what, in the mean and in 95 % of the draws.
    The largest first, of all seeds; of more than 120 records an even choice by rank, both ends included. `strata` are
    quantiles over all records of a level, where `views.records.groups` has, by the name of a grouping, its `levels` in
    order and of which each record is (`of`, seed after seed); and of thirds by memorisation, the mean signal over
    models that were trained on the record less that over models that were not, where `before.forget` has it.
    """
    groups: Mapping[str, Any] = document.get("views", {}).get("records", {}).get("groups", {})
    found: dict[str, Any] = {}
    for method, seeds in by_method(document).items():
        asked = [parts for parts in seeds if FORGET in parts]
        view = _of_method([parts[FORGET] for parts in asked], {**groups, **_by_memorisation(asked)})
        if view is not None:
            found[method] = view
    return found or None


def _by_memorisation(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The thirds of each seed's records by how much better models knew them for having been trained on them."""
    if not all(BEFORE in parts for parts in seeds):
        return {}
    of: list[str] = []
    for parts in seeds:
        values, member, _ = matrices(parts[BEFORE])
        inside, outside = member.sum(0), (~member).sum(0)
        known = (values * member).sum(0) / np.maximum(inside, 1) - (values * ~member).sum(0) / np.maximum(outside, 1)
        edges = np.quantile(known, [1 / 3, 2 / 3]) if known.size else np.empty(0)
        of += [_THIRDS[level] for level in np.searchsorted(edges, known)]
    return {"memorisation": {"levels": list(_THIRDS), "of": of}}


def _of_method(parts: Sequence[Mapping[str, Any]], groups: Mapping[str, Any]) -> dict[str, Any] | None:
    told = [one for start, part in _numbered(parts) if (one := _of_seed(part, start)) is not None]
    if not told:
        return None
    *columns, exposed = zip(*told, strict=True)
    means, half, records = (np.concatenate(column) for column in columns)
    by_chance = np.sum(exposed, axis=0) / len(records)
    low, high = np.quantile(by_chance, [LEVEL / 2, 1 - LEVEL / 2])
    order = np.argsort(-means, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), _SHOWN)).round().astype(np.int64))]
    return {
        "records": len(records),
        "models": sum(len(part["values"]) for part in parts),
        "above_zero": float((means - half > 0).mean()),
        "by_chance": {"value": float(by_chance.mean()), "low": float(low), "high": float(high)},
        "rows": [
            {
                "value": float(means[e]),
                "low": float(means[e] - half[e]),
                "high": float(means[e] + half[e]),
                "groups": {name: group["of"][records[e]] for name, group in groups.items()},
            }
            for e in shown
        ],
        "strata": {
            name: {
                level: asdict(quantiles(means[[group["of"][c] == level for c in records]].tolist()))
                for level in group["levels"]
            }
            for name, group in groups.items()
        },
    }


def _numbered(parts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each part with the number of its first record, counted through all of them."""
    start = 0
    for part in parts:
        yield start, part
        start += len(part["values"][0]) if part["values"] else 0


def _of_seed(part: Mapping[str, Any], start: int) -> tuple[Floats, Floats, NDArray[np.int64], Floats] | None:
    """Of the records with models enough: values, half intervals, their numbers; how many chance exposes [draws]."""
    values, member, blocks = matrices(part)
    try:
        columns = usable(member, least=4)
    except TooFew:
        return None
    values, member = values[:, columns], member[:, columns]

    def exposed(labels: Mask) -> Floats:
        means, half = _means(values, labels, blocks)
        return (means - half > 0).sum(1, keepdims=True).astype(np.float64)

    _, null = by_membership(exposed, member, blocks, draws=DRAWS, seed=start)
    return *_means(values, member, blocks), start + columns, null[:, 0]


def _means(values: Floats, member: Mask, blocks: Sequence[int]) -> tuple[Floats, Floats]:
    """Of each record the mean ratio [..., examples] over the models that had it, and half its interval."""
    ratios = likelihood_ratios(values, member, blocks)
    n = member.sum(-2)
    means = np.where(member, ratios, 0.0).sum(-2) / n
    spread = np.sqrt(np.where(member, (ratios - means[..., None, :]) ** 2, 0.0).sum(-2) / (n - 1))
    return means, stdtrit(n - 1, 1 - LEVEL / 2) * spread / np.sqrt(n)
