"""How the next version is made: by unlearning, or by training anew on what remains."""

from __future__ import annotations

import time
from typing import Any

from recsys.store import Storable
from unlearn.forget import ForgetSet
from unlearn.methods.base import Unlearner
from unlearn.specification import unlearner

# Finer than the default of the method: the errors of all batches until the next full training add up, and beside the
# verification it costs little.
METHODS = ("native", "reconverge:accuracy=0.05", "two_level")

Made = tuple[Storable, dict[str, Any]]
"""The model, and what is known of its making: `method` and `facts`."""


def unlearned(before: Storable, forget: ForgetSet, chosen: Unlearner | None) -> Made:
    """By the method that was chosen, else by the first that can be applied."""
    chosen = chosen or next(one for one in map(unlearner, METHODS) if one.obstacle(before) is None)
    result = chosen.forget(before, forget)
    assert isinstance(result.problem, Storable)
    return result.problem, _told(chosen.name, result.residual_before, result.residual_after, result.seconds)


def trained(untrained: Storable) -> Made:
    """From the beginning."""
    started = time.perf_counter()
    after = untrained.fit()
    return after, _told("retrain", None, after.history.residual, time.perf_counter() - started)


def _told(name: str, before: float | None, after: float | None, seconds: float) -> dict[str, Any]:
    return {"method": name, "facts": {"residual_before": before, "residual_after": after, "seconds": seconds}}
