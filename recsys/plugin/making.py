"""How the next version is made: by unlearning, or by training anew on what remains."""

from __future__ import annotations

import time
from dataclasses import dataclass

from recsys import store
from recsys.forgetting import first_applicable, storable
from recsys.store import Storable
from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.methods.base import Unlearner
from unlearn.workspace_target import Made


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A model with what it is to forget; or one without parameters over all that remains, where it is to be trained.

    removed: interactions that leave. debt: those that were forgotten approximately since the last full training.
    """

    model: Storable
    forget: ForgetSet
    removed: int
    debt: int


def unlearned(begun: Begun, chosen: Unlearner | None) -> Made:
    """By the method that was chosen, else by the first that can be applied."""
    chosen = chosen or first_applicable(begun.model)
    result = chosen.forget(begun.model, begun.forget)
    residuals = result.residual_before, result.residual_after
    return _made(chosen.name, begun, storable(result), residuals, result.seconds)


def trained(begun: Begun) -> Made:
    """From the beginning."""
    started = time.perf_counter()
    after = begun.model.fit()
    return _made("retrain", begun, after, (None, after.history.residual), elapsed(started))


def _made(
    name: str, begun: Begun, after: Storable, residuals: tuple[float | None, float | None], seconds: float
) -> Made:
    facts = {
        "interactions_removed": begun.removed,
        "residual_before": residuals[0],
        "residual_after": residuals[1],
        "seconds": seconds,
        "debt_before": begun.debt,
        "debt_after": after.history.removed,
    }
    return Made(name, facts, lambda folder: store.save(after, folder / "model"))
