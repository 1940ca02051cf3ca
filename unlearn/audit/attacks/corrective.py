"""When only a part of what is false is known: how much of the rest's effect a method takes away as well."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.audit.attacks.base import Evidence, Metric, TooFew, register
from unlearn.audit.attacks.groups import apart, difference
from unlearn.audit.chance import DRAWS, Relabelling
from unlearn.audit.signals import Signals
from unlearn.audit.statistics import Floats


@register
@dataclass(frozen=True)
class Corrective(Metric):
    """Share of the unknown part's effect that is left: 0 as if no false data had been there, 1 as before.

    Goel, Prabhu, Torr, Kumaraguru, Sanyal, "Corrective Machine Unlearning" (2024, arXiv 2402.14015): the request names
    a known part of the manipulated data, and the rest is to lose its effect, too. With x the mean signal of unknown
    false examples in the models trained on them,

        (x(unlearned) - x(clean)) / (x(before) - x(clean))

    An exact deletion of the known part does *not* bring this to 0, for the unknown part is still in the data: compare
    with the row of `retrain`.

    **Differences from the paper:** false interactions and their signal stand for manipulated labels and accuracy.
    """

    name = "corrective"
    requires = ("before.unknown", "unlearned.unknown", "clean.unknown")
    does_not_show = "exact deletion of the known part, which the other metrics judge"
    draws: int = DRAWS
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, Relabelling]:
        """See `Metric.readings`."""
        clean = evidence["clean.unknown"]
        before, after = (apart(evidence[f"{stage}.unknown"], clean) for stage in ("before", "unlearned"))
        left, right = _means(after), _means(clean)
        effect = float(_means(before).mean() - right.mean())
        if effect <= 0:
            raise TooFew(f"`unknown` must have had an effect on its own signal for `corrective` (got {effect:.3g})")
        left, right = ((one - right.mean()) / effect for one in (left, right))
        found = difference(left, right, after.draws + clean.draws, draws=self.draws, seed=self.seed + evidence.seed)
        return {"corrective_effect_left": found}


def _means(signals: Signals) -> Floats:
    """Mean signal [models] of the examples that each model was trained on."""
    member = signals.member.double()
    if int(member.sum(1).min()) < 1:
        raise TooFew(
            f"`examples` must include one that each model was trained on (got {len(signals)} models, one without)"
        )
    return ((signals.values * member).sum(1) / member.sum(1)).numpy()
