"""How soon a model that forgot has learned it again, compared with one that never knew."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from unlearn.audit.attacks.base import Evidence, Metric, register
from unlearn.audit.attacks.groups import apart
from unlearn.audit.chance import DRAWS, Relabelling, relabelled
from unlearn.audit.statistics import Floats


@register
@dataclass(frozen=True)
class Relearn(Metric):
    """Steps of training on the forgotten until its loss is as low as it had been, over those that a retrain needs.

    Well below the floor information is left; well above it the method went further than forgetting. A model that does
    not get there counts with one step more than were made; where no retrain needs any, one of them counts with one. The
    level to reach is the mean over models of the loss before the deletion, the same for both kinds.
    """

    name = "relearn"
    requires = ("before.relearning", "unlearned.relearning", "retrained.relearning")
    does_not_show = "where the information is; a method that left the loss low reads near 0 whatever the reason"
    draws: int = DRAWS
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, Relabelling]:
        """See `Metric.readings`."""
        others = evidence["retrained.relearning"]
        mine = apart(evidence["unlearned.relearning"], others)
        target = -float(evidence["before.relearning"].values[:, 0].mean())
        curves = -np.concatenate([mine.values.numpy(), others.values.numpy()])
        steps, n = steps_until(curves, target), len(mine)

        def statistic(order: NDArray[np.intp]) -> Floats:
            left, right = steps[order[:n]].mean(), steps[order[n:]].mean()
            return np.array([left / (right or 1 / (len(order) - n)) if left or right else 1.0])

        found, null = relabelled(statistic, mine.draws + others.draws, draws=self.draws, seed=self.seed + evidence.seed)
        return {"relearn_ratio": Relabelling(float(found[0]), null[:, 0], within=(0.0, inf))}


def steps_until(curves: Floats, target: float) -> Floats:
    """Steps [models] until a loss curve [models, steps from 0] is at the target, linearly between two steps."""
    found = np.full(len(curves), float(curves.shape[1]))
    for row, curve in enumerate(curves):
        reached = np.flatnonzero(curve <= target)
        if len(reached):
            first = int(reached[0])
            fall = curve[first - 1] - curve[first] if first else 1.0
            found[row] = first - (target - curve[first]) / fall if first else 0.0
    return found
