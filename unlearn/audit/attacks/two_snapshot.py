"""Who holds the model before and after a deletion sees what changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unlearn.audit.attacks.base import Evidence, Metric, TooFew, register
from unlearn.audit.attacks.groups import SHARE, apart, auc, difference
from unlearn.audit.chance import DRAWS, Relabelling
from unlearn.audit.signals import Signals
from unlearn.audit.statistics import Floats


@register
@dataclass(frozen=True)
class TwoSnapshot(Metric):
    """AUC of the drop x(before) - x(after) between deleted examples and others that the model never had.

    Chen, Zhang, Wang, Backes, Humbert, Zhang, "When Machine Unlearning Jeopardizes Privacy" (2021, arXiv 2005.02205).
    Retraining leaks here as well, for deleting an example does lower its signal: the floor is the retrains' own AUC,
    and the excess over it is the finding. Two-sided: above it the method pushes the deleted down harder than a retrain
    would and so marks them; below it, as when nothing is done, they did not move.

    **Differences from the paper:** the drop of one signal stands in for its trained attack on both models' outputs.
    """

    name = "two_snapshot"
    requires = ("before.forget", "unlearned.forget", "retrained.forget")
    does_not_show = "what a single snapshot shows; and a retrain's own leak, which is the floor, is a leak too"
    draws: int = DRAWS
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, Relabelling]:
        """See `Metric.readings`."""
        before, others = evidence["before.forget"], evidence["retrained.forget"]
        mine = apart(evidence["unlearned.forget"], others)
        left, right = drops(before, mine), drops(before, others)
        return {
            "two_snapshot_auc": difference(
                left, right, mine.draws + others.draws, draws=self.draws, seed=self.seed + evidence.seed, within=SHARE
            )
        }


def drops(before: Signals, after: Signals) -> Floats:
    """One AUC a model of `after`, of the drop of its signals between members and non-members.

    Raises:
        TooFew: a model had all of the examples, or none.
    """
    earlier = dict(zip(before.numbers, before.values.numpy(), strict=True))
    found: list[float] = []
    for number, values, member in zip(after.numbers, after.values.numpy(), after.member.numpy(), strict=True):
        if member.all() or not member.any():
            raise TooFew(
                f"`examples` must include one that model {number} was trained on and one that it was not "
                f"(got {int(member.sum())} of {len(member)})"
            )
        found.append(auc(earlier[number] - values, member))
    return np.array(found)
