"""What attacks that judge each example by its own models read of the signals of a pool, as an audit's JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unlearn.audit.attacks.base import TooFew
from unlearn.audit.attacks.groups import usable
from unlearn.audit.attacks.rmia import ranked, relative
from unlearn.audit.attacks.u_lira import likelihood_ratios

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

FORGET, HELD_OUT = "unlearned.forget", "unlearned.held_out"


def calibrated(parts: Mapping[str, Any]) -> dict[str, tuple[Values, Mask]]:
    """Scores and membership [models, examples] by attack; empty where the pool is too small for one.

    Args:
        parts: signals by name, each with `values` and `member` [models, examples] and `blocks` [models].
    """
    if FORGET not in parts:
        return {}
    values, member, blocks = matrices(parts[FORGET])
    try:
        columns = usable(member, least=4)
    except TooFew:
        return {}
    values, member = values[:, columns], member[:, columns]
    found = {"likelihood ratio": (likelihood_ratios(values, member, blocks), member)}
    if HELD_OUT in parts:
        population, _, _ = matrices(parts[HELD_OUT])
        found["relative likelihood"] = relative(values, member, ranked(population, blocks), blocks), member
    return found


def matrices(part: Mapping[str, Any]) -> tuple[Values, Mask, list[int]]:
    """Values and membership of one part, and the independent draw that each model belongs to."""
    return np.array(part["values"], dtype=np.float64), np.array(part["member"], dtype=np.bool_), part["blocks"]


def by_method(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The signals of every method seed by seed, with those that belong to all of them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for of_seed in document.get("signals") or ():
        shared: dict[str, Any] = of_seed["parts"].get("shared", {})
        for name, own in of_seed["parts"].items():
            if name != "shared":
                found.setdefault(name, []).append({**shared, **own})
    return found
