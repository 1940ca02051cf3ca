"""Figures beside those of retrains, on signals drawn for the purpose."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.stats import norm

from tests.unlearn.audit.attacks.gaussians import halves, several
from unlearn.audit.attacks import (
    Corrective,
    Evidence,
    Relearn,
    TooFew,
    TwoSnapshot,
)
from unlearn.audit.attacks.groups import auc
from unlearn.audit.attacks.relearn import steps_until
from unlearn.audit.chance import Chance
from unlearn.audit.signals import Signals


def test_steps_until_are_interpolated_and_censored() -> None:
    curves = np.array([[4.0, 2.0, 1.0], [1.0, 0.5, 0.2], [9.0, 8.0, 7.0]])
    assert steps_until(curves, 1.5).tolist() == [1.5, 0.0, 3.0]


def test_a_model_that_learns_again_at_once_fails_and_one_as_slow_as_a_retrain_does_not() -> None:
    generator = np.random.default_rng(0)
    slow = 10.0 - np.arange(21.0) + generator.normal(0, 0.1, size=(40, 21))
    fast = slow - 5.0
    before = several(-np.zeros((20, 21)) - 1.0)
    for mine, verdict in ((fast, "fail"), (slow, "pass")):
        evidence = Evidence(
            {
                "before.relearning": before,
                "unlearned.relearning": several(-mine[:20]),
                "retrained.relearning": several(-slow[20:], first=20),
            }
        )
        control = Evidence(evidence.parts | {"unlearned.relearning": several(-fast[:20])})
        (found,) = Relearn().findings(evidence, control=[control])
        assert found.verdict == verdict
        assert found.value == pytest.approx(4 / 9 if verdict == "fail" else 1.0, abs=0.02)


def test_what_went_further_than_a_retrain_that_has_nothing_to_learn_fails() -> None:
    level = np.full((20, 21), 1.0)
    falling = 2.0 - 0.1 * np.arange(21.0) + np.zeros((20, 1))
    evidence = {"before.relearning": several(-level), "retrained.relearning": several(-level, first=20)}
    (far,) = Relearn().findings(Evidence(evidence | {"unlearned.relearning": several(-falling)}))
    assert (far.value, far.verdict) == (pytest.approx(10 / (1 / 20)), "fail")
    (equal,) = Relearn().findings(Evidence(evidence | {"unlearned.relearning": several(-level)}))
    assert (equal.value, equal.low, equal.verdict) == (1.0, 1.0, "inconclusive")


def test_the_share_of_an_unknown_effect_that_is_left() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, size=(3, 20, 8))
    evidence = Evidence(
        {
            "before.unknown": several(5.0 + noise[0]),
            "unlearned.unknown": several(2.0 + noise[1]),
            "clean.unknown": several(1.0 + noise[2], first=20),
        }
    )
    (found,) = Corrective().findings(evidence)
    assert found.value == pytest.approx(0.25, abs=0.01) and found.verdict == "fail"
    assert found.null_floor == pytest.approx(0.0, abs=1e-12)
    harmless = Evidence(evidence.parts | {"before.unknown": several(0.5 + noise[0])})
    with pytest.raises(TooFew, match="effect"):
        Corrective().read(harmless)


def test_two_snapshots_excess_over_a_retrain_has_two_sides() -> None:
    before = halves(40, 60, shift=3.0)
    member = before.member.double()
    generator = torch.Generator().manual_seed(0)

    def after(drop: float) -> Signals:
        noise = torch.randn(member.shape, dtype=torch.float64, generator=generator)
        return Signals(before.values - drop * member + noise, before.member, before.blocks)

    retrained = after(1.0).rows(range(20, 40))
    readings: dict[float, Chance] = {}
    for drop in (0.0, 1.0, 2.0):
        evidence = {"before.forget": before, "unlearned.forget": after(drop), "retrained.forget": retrained}
        (readings[drop],) = TwoSnapshot().read(Evidence(evidence)).values()
    assert readings[0.0].value < readings[1.0].value < readings[2.0].value
    assert readings[0.0].alarm and readings[2.0].alarm and not readings[1.0].alarm
    assert readings[1.0].floor == pytest.approx(norm.cdf(1 / sqrt(2)), abs=0.03)


def test_auc_is_enumeration() -> None:
    scores, positive = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([[True, False], [True, False]])
    assert auc(scores, positive) == pytest.approx((1 + 1 + 0.5 + 0) / 4)
