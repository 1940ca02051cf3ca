"""An audit from a single training run, by what a fair coin decided for each example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from unlearn.audit.attacks.base import Evidence, Metric, TooFew, register
from unlearn.audit.attacks.split_test import DELTA
from unlearn.audit.chance import Chance, Reading
from unlearn.audit.statistics import LEVEL, Floats

_SHARE = 0.2  # of the examples, guesses that are made unless told otherwise
_MOST = 20.0  # epsilon beyond which nothing is looked for


@register
@dataclass(frozen=True)
class OneRun(Metric):
    """Lower bound on epsilon from one model: r guesses about who had been trained on, v of them right.

    Steinke, Nasr, Jagielski, "Privacy Auditing with One (1) Training Run" (2023, arXiv 2305.08846): under (epsilon,
    delta), with q = 1 / (1 + e^-epsilon),

        P[v or more right] <= P[Bin(r, q) >= v] + 2 m delta max_i P[v > Bin(r, q) >= v - i] / i

    inverted at 95 %. For unlearning: each example had been trained on by the toss of a coin, and was unlearned; the
    guesses are the r / 2 strongest signals (trained) and the r / 2 weakest (not). The first model of the pool is the
    run, and `guesses` is fixed before it is looked at (a fifth of the examples), for to choose the best of several
    would need a correction. Power at 95 %: m = 100, r = 20, all right reads 1.8; m = 1,000, r = 100, 90 right 1.6.

    **Differences from the paper:** the examples of the request are the canaries.
    """

    name = "one_run"
    requires = ("unlearned.forget",)
    does_not_show = "low leakage: the bound can reveal, never certify"
    guesses: int | None = None

    def readings(self, evidence: Evidence) -> dict[str, Guesses]:
        """See `Metric.readings`."""
        signals = evidence["unlearned.forget"]
        values, member = signals.values[0].numpy(), signals.member[0].numpy()
        m = len(values)
        r = self.guesses if self.guesses is not None else round(_SHARE * m)
        r -= r % 2
        if not 2 <= r <= m:
            raise TooFew(
                f"`guesses` must be an even number of at most the {m} examples for `one_run` (got {r}); a fifth of "
                "fewer than eight is none"
            )
        return {"one_run_epsilon": Guesses(m, r, correct(values, member, r))}


@dataclass(frozen=True, slots=True)
class Guesses(Reading):
    """Of m examples, r guesses of which some were right. Those of several runs add up: every coin is its own."""

    examples: int
    made: int
    right: int

    def alone(self) -> float:
        return epsilon_bound(self.examples, self.made, self.right)

    @classmethod
    def pooled(cls, readings: Sequence[Guesses]) -> Chance:
        m, r, right = (sum(getattr(one, name) for one in readings) for name in ("examples", "made", "right"))
        bound = epsilon_bound(m, r, right)
        return Chance(bound, 0.0, bound, inf, epsilon_bound(m, r, r), nan, alarm=bound > 0)


def correct(values: Floats, member: NDArray[np.bool_], guesses: int) -> int:
    """How many of the guesses are right: the strongest half was trained on, the weakest was not."""
    order = np.argsort(values, kind="stable")
    half = guesses // 2
    return int(member[order[len(order) - half :]].sum() + (~member[order[:half]]).sum())


def epsilon_bound(m: int, guesses: int, right: int, *, delta: float = DELTA) -> float:
    """The largest epsilon that so many right guesses refute; 0 where even epsilon = 0 may have made them."""
    steps = np.arange(1, m + 1)

    def excess(epsilon: float) -> float:
        q = float(expit(epsilon))
        between = binom.cdf(right - 1, guesses, q) - binom.cdf(right - 1 - steps, guesses, q)
        return float(binom.sf(right - 1, guesses, q) + 2 * m * delta * (between / steps).max()) - LEVEL

    if excess(0.0) > 0:
        return 0.0
    if excess(_MOST) <= 0:
        return _MOST
    return float(np.asarray(brentq(excess, 0.0, _MOST, xtol=1e-6)))
