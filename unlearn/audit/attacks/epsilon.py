"""How distinguishable unlearning an example is from never having had it, as a bound that holds at 95 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

from unlearn.audit.attacks.base import Evidence, Metric, register
from unlearn.audit.attacks.split_test import Errors, split_test
from unlearn.audit.chance import Chance, Reading


@register
@dataclass(frozen=True)
class Epsilon(Metric):
    """Lower bound on epsilon: max{log((1 - delta - FPR) / FNR), log((1 - delta - FNR) / FPR)}, delta = 1e-5.

    The rule of the NeurIPS 2023 unlearning challenge (Triantafillou et al., "Are We Making Progress in Unlearning?",
    2024, arXiv 2406.09073).

    **Differences from the paper:** example and threshold are chosen on one half of the models and both rates bounded
    from above on the other (Clopper-Pearson), so the figure is a lower bound at 95 % where the challenge's own estimate
    reads about 1 for two equal samples. It can never exceed `resolution`, what complete separation would have read.
    """

    name = "epsilon"
    requires = ("unlearned.forget",)
    does_not_show = "an upper bound: other examples, signals and attacks may tell more; it is no privacy budget"
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, EpsilonReading]:
        """See `Metric.readings`."""
        signals = evidence["unlearned.forget"]
        values, member = signals.values.numpy(), signals.member.numpy()
        return {"epsilon": EpsilonReading(split_test(values, member, signals.draws, seed=self.seed + evidence.seed))}


@dataclass(frozen=True, slots=True)
class EpsilonReading(Reading):
    """The errors of a threshold attack, read as a bound on epsilon."""

    errors: Errors

    def alone(self) -> float:
        return self.errors.epsilon()

    @classmethod
    def pooled(cls, readings: Sequence[EpsilonReading]) -> Chance:
        errors = Errors.joined([one.errors for one in readings])
        bound = errors.epsilon()
        return Chance(bound, 0.0, bound, inf, errors.none().epsilon(), nan, alarm=bound > 0)
