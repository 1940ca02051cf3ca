"""What attacks that judge each example by its own models read of the signals of a pool, as an audit's JSON has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unlearn.audit.attacks.base import TooFew
from unlearn.audit.attacks.groups import Mask, usable
from unlearn.audit.attacks.rmia import ranked, relative
from unlearn.audit.attacks.u_lira import likelihood_ratios
from unlearn.audit.statistics import Floats

FORGET, HELD_OUT = "unlearned.forget", "unlearned.held_out"
DRAWS = 199  # exchanges of who had what: five of them lie beyond each end of a 95 % interval

Scores = Callable[[Mask], Floats]


def calibrated(parts: Mapping[str, Any]) -> tuple[Mask, list[int], dict[str, Scores]]:
    """Membership [models, examples], blocks, and by attack the scores [models, examples] as membership has it.

    There is no attack where the pool is too small for one, or nothing is held out that it compares with.

    Args:
        parts: signals by name, each with `values` and `member` [models, examples] and `blocks` [models].
    """
    none = np.zeros((0, 0), dtype=np.bool_)
    if FORGET not in parts:
        return none, [], {}
    values, member, blocks = matrices(parts[FORGET])
    try:
        columns = usable(member, least=4)
    except TooFew:
        return none, [], {}
    values = values[:, columns]
    found: dict[str, Scores] = {"likelihood ratio": lambda labels: likelihood_ratios(values, labels, blocks)}
    if HELD_OUT in parts and (population := matrices(parts[HELD_OUT])[0]).size:
        others = ranked(population, blocks)
        found["relative likelihood"] = lambda labels: relative(values, labels, others, blocks)
    return member[:, columns], blocks, found


def matrices(part: Mapping[str, Any]) -> tuple[Floats, Mask, list[int]]:
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
