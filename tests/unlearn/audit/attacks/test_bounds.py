"""Bounds, against what complete separation, randomised response and published tables say."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import Literal

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm

from tests.unlearn.audit.attacks.gaussians import halves
from unlearn.audit.attacks import (
    Epsilon,
    Evidence,
    OneRun,
    TooFew,
)
from unlearn.audit.attacks.f_ine import MuReading, of_samples
from unlearn.audit.attacks.one_run import Guesses, correct, epsilon_bound
from unlearn.audit.attacks.split_test import Errors, _best, split_test
from unlearn.audit.signals import Signals
from unlearn.audit.statistics import clopper_pearson


@pytest.mark.parametrize(("side", "resolution"), [(64, 2.1), (128, 2.8), (512, 4.2)])
def test_complete_separation_reads_the_resolution(side: int, resolution: float) -> None:
    values = np.concatenate([np.linspace(10, 11, side), np.linspace(0, 1, side)])[:, None]
    first = (np.arange(2 * side) < side)[:, None]
    alternating = np.argsort(np.arange(2 * side) % side, kind="stable")  # one of each kind in turn
    blocks = np.arange(2 * side) // 2
    errors = split_test(values[alternating], first[alternating], blocks, seed=0)
    assert errors.epsilon() == errors.none().epsilon() == pytest.approx(resolution, abs=0.05)
    assert errors.direction == 1
    flipped = split_test(-values[alternating], first[alternating], blocks, seed=0)
    assert (flipped.epsilon(), flipped.direction) == (errors.epsilon(), -1)


@pytest.mark.parametrize("by", ["epsilon", "mu"])
@pytest.mark.parametrize("seed", range(4))
def test_the_threshold_that_is_chosen_has_the_largest_bound(by: Literal["epsilon", "mu"], seed: int) -> None:
    """By enumeration, on signals that are often equal: no threshold lies between equals."""
    generator = np.random.default_rng(seed)
    first = generator.random((24, 3)) < 0.5
    values = (generator.integers(0, 4, (24, 3)) + first * generator.integers(-1, 2)).astype(np.float64)

    def bound(column: int, threshold: float, direction: int) -> float:
        above, truth = direction * (values[:, column] - threshold) > 0, first[:, column]
        a = clopper_pearson(int((above & ~truth).sum()), int((~truth).sum()))[1]
        b = clopper_pearson(int((~above & truth).sum()), int(truth.sum()))[1]
        if by == "mu":
            return float(norm.ppf(1 - a) - norm.ppf(b))
        return float(np.log(max((1 - a) / b, (1 - b) / a)))

    every = [bound(e, t, d) for e in range(3) for t in np.arange(-0.5, 5.0) for d in (1, -1)]
    assert bound(*_best(values, first, by)) == pytest.approx(max(one for one in every if np.isfinite(one)))


def test_no_false_alarm_in_300_null_draws() -> None:
    bounds = [
        Epsilon().read(Evidence({"unlearned.forget": halves(32, 4, 0.0, seed)}))["epsilon"].alarm for seed in range(300)
    ]
    assert sum(bounds) <= 3


def test_the_bound_is_below_the_truth_and_above_nothing() -> None:
    """Randomised response of epsilon 1: signals that tell the truth with probability e / (1 + e)."""
    generator = np.random.default_rng(0)
    first = (np.arange(4_000) % 2 == 0)[:, None]
    lies = generator.random(first.shape) > 1 / (1 + np.exp(-1))
    errors = split_test((first ^ lies).astype(np.float64), first, range(4_000), seed=0)
    assert 0.7 < errors.epsilon(0.0) < 1.0


def test_mu_is_the_distance_of_two_gaussians() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(4_000, 1))
    values[:2_000] -= 1.0
    order = np.argsort(np.arange(4_000) % 2_000, kind="stable")
    reading = of_samples(values, 2_000, range(4_000), seed=0)
    found = reading.pooled([reading])
    assert -1.0 < found.value < -0.7 and found.alarm and found.high == found.value == reading.alone()
    assert of_samples(values[order], 2_000, range(4_000), seed=0).alone() == 0.0
    n = 10**8
    many = Errors(round(n * norm.sf(1.0)), n, round(n * norm.cdf(-0.5)), n, 1)
    assert many.mu() == pytest.approx(1.5, abs=1e-3)


@pytest.mark.parametrize("mu", [-0.5, 0.5])
def test_the_interval_of_mu_holds_it_where_so_few_models_find_nothing(mu: float) -> None:
    """What is not found has no known sign: half of the time chance points the other way."""
    held = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=(32, 1))
        values[:16] += mu
        found = MuReading.pooled([of_samples(values, 16, range(32), seed=seed)])
        held += found.low <= mu <= found.high
    assert held >= 190
    values[:16] += 8 * mu
    clear = MuReading.pooled([of_samples(values, 16, range(32), seed=0)])
    assert (clear.low > 0) == (mu > 0) and (clear.high < 0) == (mu < 0)


def test_seeds_that_point_either_way_have_no_common_sign() -> None:
    """Against the mean of their effects, which the interval must hold; that there are effects is told all the same."""
    up, down = (MuReading(Errors(1, 200, 1, 200, direction)) for direction in (1, -1))
    both = MuReading.pooled([up, down])
    assert (both.value, both.low, both.high) == (0.0, -np.inf, np.inf) and both.alarm
    size = up.alone()
    for seeds, mean in (([up, up, down], size / 3), ([up, down, down], -size / 3)):
        found = MuReading.pooled(seeds)
        assert found.low <= mean <= found.high and found.alarm and np.sign(found.value) == np.sign(mean)
    assert MuReading.pooled([down, down]).value < down.alone()
    assert Errors(3, 20, 5, 30, 1).pointing(-1) == Errors(17, 20, 25, 30, -1)
    values, first = np.arange(40.0)[:, None], np.arange(40)[:, None] % 3 == 0
    errors = split_test(values, first, range(40), seed=0)
    assert errors.pointing(-errors.direction).pointing(errors.direction) == errors


def test_attacks_of_several_seeds_add_their_errors_up() -> None:
    """Two that prove little by themselves prove more together, and never more than separation could."""
    one, other = Errors(1, 20, 2, 20, 1), Errors(2, 20, 1, 20, 1)
    both = Errors.joined([one, other])
    assert both == Errors(3, 40, 3, 40, 1)
    assert max(one.epsilon(), other.epsilon()) < both.epsilon() < both.none().epsilon()
    assert Errors.joined([one, replace(other, direction=-1), replace(other, direction=-1)]).direction == -1
    guesses = Guesses(100, 20, 16)
    together = Guesses.pooled([guesses] * 4)
    assert together.value == epsilon_bound(400, 80, 64) > guesses.alone() > 0
    assert together.resolution == epsilon_bound(400, 80, 80) and together.alarm
    assert not Guesses.pooled([Guesses(100, 20, 10)] * 4).alarm


def test_kinds_are_halved_alike() -> None:
    """So that every seed is judged by as many models of each kind, and errors can be added."""
    first = np.repeat([True, False], 12)[:, None]
    for seed in range(20):
        errors = split_test(np.arange(24.0)[:, None], first, range(24), seed=seed)
        assert (errors.positives, errors.negatives) == (6, 6)


@pytest.mark.parametrize(
    ("m", "guesses", "right", "bound"),
    [(100, 20, 20, 1.8), (1_000, 100, 60, 0.05), (1_000, 100, 70, 0.47), (1_000, 100, 90, 1.6), (1_000, 100, 100, 3.5),
     (1_000, 1_000, 600, 0.30)],
)  # fmt: skip
def test_the_published_power_of_one_run(m: int, guesses: int, right: int, bound: float) -> None:
    assert epsilon_bound(m, guesses, right, delta=0.0) == pytest.approx(bound, abs=0.05)
    assert abs(epsilon_bound(m, guesses, right) - epsilon_bound(m, guesses, right, delta=0.0)) < 0.03


@pytest.mark.parametrize(("m", "guesses", "right"), [(40, 20, 18), (200, 40, 35), (30, 30, 24)])
def test_the_bound_of_one_run_is_where_the_published_p_value_is_5_percent(m: int, guesses: int, right: int) -> None:
    """The p-value term by term, as in the appendix of arXiv 2305.08846."""
    delta = 1e-3
    bound = epsilon_bound(m, guesses, right, delta=delta)
    q = 1 / (1 + exp(-bound))
    alpha = total = 0.0
    for i in range(1, right + 1):
        total += float(binom.pmf(right - i, guesses, q))
        alpha = max(alpha, total / i)
    assert binom.sf(right - 1, guesses, q) + 2 * m * delta * alpha == pytest.approx(0.05, abs=1e-4)
    assert 0.0 < bound < epsilon_bound(m, guesses, right, delta=0.0) - 0.02


def test_half_of_the_guesses_right_prove_nothing() -> None:
    assert epsilon_bound(100, 20, 10) == 0.0


def test_guesses_are_the_strongest_and_the_weakest() -> None:
    values = np.array([9.0, 5.0, 1.0, 8.0, 0.0, 4.0])
    assert correct(values, np.array([True, True, False, False, False, True]), 4) == 3  # 9 yes, 8 no; 0 and 1 no


def test_one_run_is_the_first_model_and_guesses_about_a_fifth_of_its_examples() -> None:
    def read(examples: int, guesses: int | None = None) -> Guesses:
        strength = np.arange(examples, dtype=np.float64)
        values = torch.from_numpy(np.stack([strength, -strength]))  # every guess is right, or every one wrong
        trained = torch.from_numpy(np.tile(strength >= examples // 2, (2, 1)))
        evidence = Evidence({"unlearned.forget": Signals(values, trained, torch.arange(2))})
        return OneRun(guesses=guesses).readings(evidence)["one_run_epsilon"]

    assert read(24) == Guesses(24, 4, 4)
    assert read(8) == read(8, guesses=3) == Guesses(8, 2, 2)
    assert read(8, guesses=8) == Guesses(8, 8, 8)
    for examples, guesses in ((7, None), (8, 10), (8, 1)):
        with pytest.raises(TooFew, match="fewer than eight"):
            read(examples, guesses)
