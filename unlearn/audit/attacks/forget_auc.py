"""Deleted (or retained) examples against held-out ones, compared with what retrains score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearn.audit.attacks.base import Evidence, Metric, TooFew, register
from unlearn.audit.attacks.groups import SHARE, apart, auc, difference
from unlearn.audit.chance import DRAWS, Relabelling
from unlearn.audit.signals import Signals
from unlearn.audit.statistics import Floats


@dataclass(frozen=True)
class _GroupAUC(Metric):
    """AUC_j = P(signal of an example that model j was trained on > signal of a held-out one), mean over models.

    Two-sided: below the retrains' is over-forgetting and a failure too. The floor is the retrains' own mean, which is
    not one half where deleted and held-out examples are of different kinds.
    """

    group: ClassVar[str]
    draws: int = DRAWS
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, Relabelling]:
        """See `Metric.readings`."""
        others = evidence[f"retrained.{self.group}"]
        mine = apart(evidence[f"unlearned.{self.group}"], others)
        left = group_aucs(mine, evidence["unlearned.held_out"])
        right = group_aucs(others, evidence["retrained.held_out"])
        return {
            self.name: difference(
                left, right, mine.draws + others.draws, draws=self.draws, seed=self.seed + evidence.seed, within=SHARE
            )
        }


@register
class ForgetAUC(_GroupAUC):
    """AUC of deleted against held-out examples; good when equal to the retrains', from both sides."""

    name = "forget_auc"
    requires = ("unlearned.forget", "unlearned.held_out", "retrained.forget", "retrained.held_out")
    group = "forget"
    does_not_show = "what a single deleted example leaves behind: one threshold for all hides the most exposed"


@register
class RetainAUC(_GroupAUC):
    """The same for examples that stay: unlearning must not expose them more than a retrain does."""

    name = "retain_auc"
    requires = ("unlearned.retain", "unlearned.held_out", "retrained.retain", "retrained.held_out")
    group = "retain"
    does_not_show = "whether single retained examples became more exposed while others became less"


def group_aucs(signals: Signals, held_out: Signals) -> Floats:
    """One AUC a model: of the examples that it was trained on, against the held-out ones.

    Raises:
        TooFew: a model was trained on none of the examples, or nothing is held out.
    """
    rows = dict(zip(held_out.numbers, held_out.values.numpy(), strict=True))
    found: list[float] = []
    for number, values, member in zip(signals.numbers, signals.values.numpy(), signals.member.numpy(), strict=True):
        mine, theirs = values[member], rows[number]
        if not len(mine) or not len(theirs):
            raise TooFew(
                f"`examples` must include one that model {number} was trained on and one that is held out "
                f"(got {len(mine)} and {len(theirs)})"
            )
        found.append(auc(np.concatenate([mine, theirs]), np.arange(len(mine) + len(theirs)) < len(mine)))
    return np.array(found)
