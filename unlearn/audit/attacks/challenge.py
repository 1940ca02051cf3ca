"""The score of the NeurIPS 2023 unlearning challenge, shipped for comparison and labelled for what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearn.audit.attacks.base import Evidence, Metric, register
from unlearn.audit.attacks.groups import apart
from unlearn.audit.attacks.split_test import DELTA
from unlearn.audit.chance import Relabelling, relabelled
from unlearn.audit.statistics import Floats

_WIDTH = 0.5  # of the bins of epsilon, each worth half the one before
_CAP = 50.0


@register
@dataclass(frozen=True)
class Challenge(Metric):
    """F = mean over deleted examples of 2^-floor(epsilon / .5), epsilon the largest over thresholds: uncalibrated.

    Triantafillou et al., "Are We Making Progress in Unlearning?" (2024, arXiv 2406.09073). The same models choose the
    threshold and count its errors, so two equal samples read an epsilon near 1.1 and F near .35 where 1 would be
    perfect: compare it with its null value and with nothing else. No verdict hangs on it; `epsilon` is the calibrated
    bound.

    **Differences from the paper:** single thresholds only, without windows of two (with those the null value is .1 to
    .2); without the factors for the accuracy on remaining and test data.
    """

    name = "challenge_uncalibrated"
    requires = ("unlearned.forget", "retrained.forget")
    does_not_show = "forgetting: uncalibrated; a perfect retrain reads the null value printed beside it, not 1"
    judged = False
    draws: int = 99
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, Relabelling]:
        """See `Metric.readings`."""
        others = evidence["retrained.forget"]
        mine = apart(evidence["unlearned.forget"], others)
        values, n = np.concatenate([mine.values.numpy(), others.values.numpy()]), len(mine)
        found, null = relabelled(
            lambda order: np.array([forgetting_score(values[order[:n]], values[order[n:]])]),
            mine.draws + others.draws,
            draws=self.draws,
            seed=self.seed + evidence.seed,
        )
        return {self.name: Relabelling(float(found[0]), null[:, 0], side="lower")}


def forgetting_score(unlearned: Floats, retrained: Floats) -> float:
    """F of signals [n, examples] and [m, examples]."""
    return float((2.0 ** -np.floor(epsilons(unlearned, retrained) / _WIDTH)).mean())


def epsilons(unlearned: Floats, retrained: Floats) -> Floats:
    """Epsilon [examples] by the rule of the challenge, the largest over thresholds between the signals.

    The side of larger median counts as positive; thresholds with exactly one rate of zero are left out; without any
    error at all epsilon is infinite, and 50 is the most that is counted otherwise.
    """
    flip = np.median(unlearned, axis=0) < np.median(retrained, axis=0)
    sign = np.where(flip, -1.0, 1.0)
    values = np.concatenate([unlearned, retrained]) * sign
    positive = np.arange(len(values)) < len(unlearned)
    order = np.argsort(values, axis=0, kind="stable")
    mine: NDArray[np.bool_] = positive[order]
    missed = mine.cumsum(0) / len(unlearned)
    alarms = 1 - (~mine).cumsum(0) / len(retrained)
    alarms = np.where(np.abs(alarms) < 1e-12, 0.0, alarms)
    ordered = np.take_along_axis(values, order, 0)
    tied = np.concatenate([ordered[1:] == ordered[:-1], np.zeros((1, values.shape[1]), dtype=np.bool_)])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.fmax(np.log((1 - DELTA - alarms) / missed), np.log((1 - DELTA - missed) / alarms))
    found = np.where((missed == 0) & (alarms == 0), np.inf, np.minimum(found, _CAP))
    one_zero = (missed == 0) ^ (alarms == 0)
    return np.maximum(np.where(tied | one_zero | np.isnan(found), 0.0, found).max(0), 0.0)
