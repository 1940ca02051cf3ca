"""What training on the forgotten still does to other answers, as a hypothesis test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np

from unlearn.audit.attacks.base import Evidence, Metric, register
from unlearn.audit.attacks.groups import apart
from unlearn.audit.attacks.split_test import Errors, split_test
from unlearn.audit.chance import Chance, Reading
from unlearn.audit.statistics import Floats


@register
@dataclass(frozen=True)
class FINE(Metric):
    """Attribution of the forgotten set to held-out answers: the mu of a Gaussian trade-off curve, signed.

    "f-INE: A Hypothesis Testing Framework for Estimating Influence under Training Randomness" (2025, arXiv 2510.10510):
    H0, trained without S; H1, trained on S. With alpha and beta the error rates of the test that tells them apart,

        mu = Phi^-1(1 - alpha) - Phi^-1(beta)

    Here H1 is: trained on S and unlearned; positive where that leaves the answer higher than a retrain's.

    **Differences from the paper:** the distributions are those over models of the pool, which is the paper's
    definition, and not the similarities along a single run, its approximation. The threshold is chosen on one half and
    alpha and beta bounded on the other, where the paper keeps the largest of all thresholds; the figure is thus a lower
    bound on |mu|, and 0 where nothing was found, not even the sign: then neither end of the interval is known.
    """

    name = "f_ine"
    requires = ("unlearned.held_out", "retrained.held_out")
    does_not_show = "attribution to answers that were not asked, and effects below its resolution"
    seed: int = 0

    def readings(self, evidence: Evidence) -> dict[str, MuReading]:
        """See `Metric.readings`."""
        others = evidence["retrained.held_out"]
        mine = apart(evidence["unlearned.held_out"], others)
        values = np.concatenate([mine.values.numpy(), others.values.numpy()])
        seed = self.seed + evidence.seed
        return {"f_ine_mu": of_samples(values, len(mine), mine.draws + others.draws, seed=seed)}


@dataclass(frozen=True, slots=True)
class MuReading(Reading):
    """The errors of a threshold attack, read as a signed bound on mu.

    Over seeds the figure bounds the mu of attacks that all point the way that most do: where seeds point either way,
    little of it is left. Their errors as they are, which tell that something is there, whichever way, raise the alarm.
    """

    errors: Errors

    def alone(self) -> float:
        return self.errors.direction * self.errors.mu()

    @classmethod
    def pooled(cls, readings: Sequence[MuReading]) -> Chance:
        errors = Errors.joined([one.errors for one in readings])
        alike = Errors.joined([one.errors.pointing(errors.direction) for one in readings])
        signed = alike.direction * alike.mu()
        low, high = (signed if signed > 0 else -inf), (signed if signed < 0 else inf)
        return Chance(signed, 0.0, low, high, errors.none().mu(), nan, alarm=errors.mu() > 0)


def of_samples(values: Floats, n_with: int, blocks: Sequence[int], *, seed: int) -> MuReading:
    """Signed lower bound on |mu| from samples [n, examples], the first `n_with` of them made with the set."""
    first = np.zeros(values.shape, dtype=np.bool_)
    first[:n_with] = True
    return MuReading(split_test(values, first, blocks, seed=seed, by="mu"))
