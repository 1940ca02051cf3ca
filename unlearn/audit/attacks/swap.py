"""The advantage that remains once deleted and never-seen examples have traded places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearn.audit.attacks.base import Evidence, Metric, TooFew, register
from unlearn.audit.attacks.groups import SHARE, Mask, by_membership
from unlearn.audit.chance import DRAWS, Relabelling
from unlearn.audit.statistics import Floats

_THRESHOLDS = 32


@register
@dataclass(frozen=True)
class Swap(Metric):
    """Unlearning quality Q = 1 - sup over attacks of the advantage, averaged over swapped splits before the supremum.

    Tu, Hu, Ma, "Towards Reliable Empirical Machine Unlearning Evaluation: A Cryptographic Game Perspective" (2024,
    arXiv 2404.11577). With roles of deleted and never-seen traded between splits, whatever tells the two sets apart by
    themselves cancels, so that an exact retrain has Q = 1 in expectation; a certified (epsilon, delta) bounds the
    advantage by 2 (1 - (2 - 2 delta) / (e^epsilon + 1)).

    **Differences from the paper:** every model of the pool is a split of its own, random halves of the forget set being
    deleted and never seen, so the two are exchangeable whatever the request is. The attacks are 32 thresholds on the
    signal; the largest of 32 advantages is above 0 by chance, so Q has a floor below 1, from models that exchange who
    had been trained on what.
    """

    name = "swap"
    requires = ("unlearned.forget",)
    does_not_show = "what a per-example attack tells; no_op itself may read only a little below the floor"
    draws: int = DRAWS
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, Relabelling]:
        """See `Metric.readings`."""
        signals = evidence["unlearned.forget"]
        values, member = signals.values.numpy(), signals.member.numpy()
        if (member.all(1) | ~member.any(1)).any():
            raise TooFew(
                "`examples` must include, for every model, one that it was trained on and one that it was not "
                f"(got {int((member.all(1) | ~member.any(1)).sum())} of {len(member)} models without)"
            )
        passed = thresholds_passed(values)
        found, null = by_membership(
            lambda labels: 1 - np.abs(advantages(passed, labels)).max(1, keepdims=True),
            member,
            signals.draws,
            draws=self.draws,
            seed=self.seed + evidence.seed,
        )
        return {"swap_quality": Relabelling(float(found[0]), null[:, 0], side="lower", within=SHARE)}


def thresholds_passed(values: Floats) -> NDArray[np.intp]:
    """How many of 32 thresholds, quantiles of all signals, each signal [models, examples] reaches."""
    return np.searchsorted(np.quantile(values, np.arange(1, _THRESHOLDS + 1) / (_THRESHOLDS + 1)), values, side="right")


def advantages(passed: NDArray[np.intp], member: Mask) -> Floats:
    """True-positive less false-positive rate of each threshold, the mean over models: signed, so that swaps cancel.

    For each membership [b, models, examples], [b, thresholds].
    """
    b, models, _ = member.shape
    share = np.where(member, 1 / member.sum(2, keepdims=True), -1 / (~member).sum(2, keepdims=True)) / models
    places = passed + (_THRESHOLDS + 1) * np.arange(b)[:, None, None]
    exact = np.bincount(places.ravel(), share.ravel(), minlength=b * (_THRESHOLDS + 1)).reshape(b, -1)
    return exact[:, :0:-1].cumsum(1)[:, ::-1]
