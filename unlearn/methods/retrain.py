"""Retraining from the start: what every other method is measured against."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Fitted, Problem

OTHER_START = 1_000_003
"""Added to a seed, far from the small ones that people choose: a retrain from there shares nothing with the first."""


@register
@dataclass(frozen=True, kw_only=True)
class Retrain(Unlearner):
    """Trains on the remaining data with the problem's own options and training hooks.

    `coupled` keeps the seed: whoever remains begins from the same rows and meets the same draws as before. Otherwise
    the retrain is cold: it takes another seed, as one would who never saw the original. Of a model that is no
    `Problem` nothing is known but its own seed, which it keeps.

    Memory: that of training.
    """

    coupled: bool = False

    name = "retrain"
    baseline = True
    works_on = Fitted
    exact = True

    def _forget(
        self, problem: Fitted, remaining: Fitted, forget: ForgetSet, state: State | None
    ) -> tuple[Fitted, State | None]:
        if self.coupled or not isinstance(remaining, Problem):
            return remaining.fit(), state
        other = replace(remaining.options, seed=remaining.options.seed + OTHER_START)
        return remaining.fit(options=other), state
