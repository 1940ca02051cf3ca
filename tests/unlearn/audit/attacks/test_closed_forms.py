"""Attacks against closed forms, enumeration and published figures, on signals drawn for the purpose."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import norm

from unlearn.audit.attacks import (
    RMIA,
    Challenge,
    Corrective,
    Epsilon,
    Evidence,
    KLoM,
    KLoMBins,
    MissingReference,
    Relearn,
    Swap,
    TooFew,
    TwoSnapshot,
    ULiRA,
)
from unlearn.audit.attacks.challenge import epsilons, forgetting_score
from unlearn.audit.attacks.f_ine import of_samples, steps_apart
from unlearn.audit.attacks.groups import auc
from unlearn.audit.attacks.klom import binned_divergence, gaussian_divergence
from unlearn.audit.attacks.one_run import correct, epsilon_bound
from unlearn.audit.attacks.relearn import steps_until
from unlearn.audit.attacks.rmia import ranked, relative
from unlearn.audit.attacks.split_test import Errors, separation, split_test
from unlearn.audit.attacks.swap import above, advantages
from unlearn.audit.attacks.u_lira import figures, likelihood_ratios
from unlearn.audit.signals import Signals
from unlearn.audit.statistics import Chance

Floats = NDArray[np.float64]


def halves(models: int, examples: int, shift: float, seed: int = 0) -> Signals:
    """Standard normal signals, larger by `shift` where the model was a member: half of them, in independent pairs."""
    generator = np.random.default_rng(seed)
    first = generator.random((models // 2, examples)) < 0.5
    member = np.stack([first, ~first], 1).reshape(models, examples)
    values = generator.normal(size=member.shape) + 3 * generator.normal(size=examples) + shift * member
    return Signals(torch.from_numpy(values), torch.from_numpy(member), torch.arange(models) // 2)


def several(values: Floats, *, first: int = 0) -> Signals:
    numbers = tuple(range(first, first + len(values)))
    return Signals(torch.from_numpy(values), torch.ones(values.shape, dtype=torch.bool), None, numbers)


# ---- U-LiRA, RMIA, SWAP ---------------------------------------------------------------------------------------------


def test_u_lira_reaches_what_the_neyman_pearson_test_of_two_gaussians_does() -> None:
    signals = halves(300, 120, shift=1.0)
    area, accuracy, one_percent, tenth = figures(
        likelihood_ratios(signals.values.numpy(), signals.member.numpy(), signals.draws), signals.member.numpy()
    )
    assert area == pytest.approx(norm.cdf(1 / sqrt(2)), abs=0.01)
    assert accuracy == pytest.approx(norm.cdf(0.5), abs=0.01)
    assert one_percent == pytest.approx(norm.sf(norm.isf(0.01) - 1), abs=0.015)
    assert tenth == pytest.approx(norm.sf(norm.isf(0.001) - 1), abs=0.015)


def test_likelihood_ratios_are_those_of_the_other_blocks() -> None:
    signals = halves(12, 3, shift=0.7)
    values, member, blocks = signals.values.numpy(), signals.member.numpy(), np.array(signals.draws)
    found = likelihood_ratios(values, member, signals.draws)
    away = likelihood_ratios(values, member, signals.draws, "offline")
    for j in range(12):
        others = blocks != blocks[j]
        means, spreads = np.zeros((2, 3)), np.zeros(2)
        for side, kind in enumerate((True, False)):
            samples = [values[others & (member[:, e] == kind), e] for e in range(3)]
            means[side] = [sample.mean() for sample in samples]
            squares = sum(((sample - sample.mean()) ** 2).sum() for sample in samples)
            spreads[side] = sqrt(squares / sum(len(sample) - 1 for sample in samples))
        expected = norm.logpdf(values[j], means[0], spreads[0]) - norm.logpdf(values[j], means[1], spreads[1])
        np.testing.assert_allclose(found[j], expected)
        np.testing.assert_allclose(away[j], (values[j] - means[1]) / spreads[1])


def test_few_models_share_one_variance_and_many_have_their_own() -> None:
    signals = halves(400, 4, shift=1.0)
    spread = np.array([0.1, 1.0, 1.0, 10.0])
    values, member = signals.values.numpy() * spread, signals.member.numpy()
    many = likelihood_ratios(values, member, signals.draws)
    # With a variance of its own, an example's ratio does not depend on the units of its signal.
    plain = likelihood_ratios(signals.values.numpy(), member, signals.draws)
    np.testing.assert_allclose(many, plain, rtol=1e-6, atol=1e-8)
    few = halves(16, 4, shift=1.0)
    scaled = likelihood_ratios(few.values.numpy() * spread, few.member.numpy(), few.draws)
    shared = likelihood_ratios(few.values.numpy(), few.member.numpy(), few.draws)
    assert np.abs(scaled - shared).max() > 0.1


def test_a_rate_needs_as_many_negatives_as_it_has_levels() -> None:
    generator = np.random.default_rng(0)
    scores, member = generator.normal(size=(20, 30)), np.arange(600).reshape(20, 30) % 2 == 0
    _, _, one_percent, tenth = figures(scores, member)
    assert np.isfinite(one_percent) and np.isnan(tenth)
    found = {one.metric: one for one in ULiRA(draws=39).findings(Evidence({"unlearned.forget": halves(20, 30, 0.0)}))}
    tenth_found = found["u_lira_tpr_at_0.1_percent"]
    assert tenth_found.verdict == "inconclusive" and tenth_found.p_value is None
    assert "1,000" in tenth_found.does_not_show and "3,000" in tenth_found.does_not_show


def test_rmia_is_its_definition() -> None:
    generator = np.random.default_rng(2)
    values, member = generator.normal(size=(6, 4)), np.array([[1, 0, 1, 0]] * 3 + [[0, 1, 0, 1]] * 3, dtype=bool)
    population, a, gamma = generator.normal(size=(6, 5)), 0.4, 1.3
    found = relative(values, member, ranked(population, range(6), a), range(6), a=a, gamma=gamma)
    for j, i in np.ndindex(6, 4):
        outside = [k for k in range(6) if k != j and not member[k, i]]
        p_x = ((1 + a) * np.exp(values[outside, i]).mean() + 1 - a) / 2
        others = [k for k in range(6) if k != j]
        p_z = ((1 + a) * np.exp(population[others]).mean(0) + 1 - a) / 2
        ratio = (np.exp(values[j, i]) / p_x) / (np.exp(population[j]) / p_z)
        assert found[j, i] == pytest.approx((ratio >= gamma).mean())
    with pytest.raises(ValueError, match="`a` must lie.*\n`gamma` must be positive"):
        RMIA(a=2.0, gamma=0.0)


def test_rmia_of_gaussians_is_the_normal_integral() -> None:
    signals = halves(200, 60, shift=1.0)
    held_out = halves(200, 400, shift=0.0, seed=9)
    nobody = Signals(held_out.values, torch.zeros_like(held_out.member), held_out.blocks)
    (found,) = RMIA(draws=39).read(Evidence({"unlearned.forget": signals, "unlearned.held_out": nobody})).values()
    assert found.value == pytest.approx(norm.cdf(1 / sqrt(2)), abs=0.02)
    assert found.alarm


def test_swap_cancels_what_tells_the_sets_apart_by_themselves() -> None:
    """Deleted and never-seen of one split differ by themselves; under the other split the same difference counts."""
    values = np.tile(np.array([5.0, 4.0, 0.0, 1.0]), (2, 1))
    member = np.array([[True, True, False, False], [False, False, True, True]])
    assert np.abs(advantages(above(values), member)).max() == 0.0
    one_sided = np.array([[True, True, False, False]] * 2)
    assert np.abs(advantages(above(values), one_sided)).max() == 1.0


def test_swap_reads_the_advantage_of_the_best_threshold() -> None:
    signals = halves(200, 200, shift=1.0)
    values = signals.values - signals.values.mean(0)
    (found,) = (
        Swap(draws=39).read(Evidence({"unlearned.forget": Signals(values, signals.member, signals.blocks)})).values()
    )
    assert found.value == pytest.approx(1 - (2 * norm.cdf(0.5) - 1), abs=0.02)
    assert found.alarm and found.floor > 0.97


def test_a_certificate_bounds_the_advantage() -> None:
    assert separation(0.0) == 0.0
    assert separation(log(3)) == pytest.approx(1.0)


# ---- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "resolution"), [(64, 2.1), (128, 2.8), (512, 4.2)])
def test_complete_separation_reads_the_resolution(side: int, resolution: float) -> None:
    values = np.concatenate([np.linspace(10, 11, side), np.linspace(0, 1, side)])[:, None]
    first = (np.arange(2 * side) < side)[:, None]
    alternating = np.argsort(np.arange(2 * side) % side, kind="stable")  # one of each kind in turn
    blocks = np.arange(2 * side) // 2
    errors, ideal = split_test(values[alternating], first[alternating], blocks, seed=0)
    assert errors.epsilon() == ideal.epsilon() == pytest.approx(resolution, abs=0.05)
    assert errors.direction == 1
    flipped, _ = split_test(-values[alternating], first[alternating], blocks, seed=0)
    assert (flipped.epsilon(), flipped.direction) == (errors.epsilon(), -1)


def test_no_false_alarm_in_300_null_draws() -> None:
    bounds = [
        Epsilon().read(Evidence({"unlearned.forget": halves(64, 6, 0.0, seed)}))["epsilon"].alarm for seed in range(300)
    ]
    assert sum(bounds) <= 3


def test_the_bound_is_below_the_truth_and_above_nothing() -> None:
    """Randomised response of epsilon 1: signals that tell the truth with probability e / (1 + e)."""
    generator = np.random.default_rng(0)
    first = (np.arange(4_000) % 2 == 0)[:, None]
    lies = generator.random(first.shape) > 1 / (1 + np.exp(-1))
    errors, _ = split_test((first ^ lies).astype(np.float64), first, range(4_000), seed=0)
    assert 0.7 < errors.epsilon(0.0) < 1.0


def test_mu_is_the_distance_of_two_gaussians() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(4_000, 1))
    values[:2_000] -= 1.0
    order = np.argsort(np.arange(4_000) % 2_000, kind="stable")
    found = of_samples(values, 2_000, range(4_000), seed=0)
    assert -1.0 < found.value < -0.7 and found.alarm and found.high == found.value
    assert of_samples(values[order], 2_000, range(4_000), seed=0).value == 0.0
    assert Errors(norm.sf(1.0), norm.cdf(-0.5), 1).mu() == pytest.approx(1.5)


def test_differences_in_differences_of_steps() -> None:
    series, auxiliary = torch.tensor([1.0, 3.0, 4.0]), torch.tensor([0.0, 1.0, 1.0])
    assert steps_apart(series, auxiliary).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="length"):
        steps_apart(series, auxiliary[:2])


@pytest.mark.parametrize(
    ("m", "guesses", "right", "bound"),
    [(100, 20, 20, 1.8), (1_000, 100, 60, 0.05), (1_000, 100, 70, 0.47), (1_000, 100, 90, 1.6), (1_000, 100, 100, 3.5),
     (1_000, 1_000, 600, 0.30)],
)  # fmt: skip
def test_the_published_power_of_one_run(m: int, guesses: int, right: int, bound: float) -> None:
    assert epsilon_bound(m, guesses, right, delta=0.0) == pytest.approx(bound, abs=0.05)
    assert abs(epsilon_bound(m, guesses, right) - epsilon_bound(m, guesses, right, delta=0.0)) < 0.03


def test_half_of_the_guesses_right_prove_nothing() -> None:
    assert epsilon_bound(100, 20, 10) == 0.0


def test_guesses_are_the_strongest_and_the_weakest() -> None:
    values = np.array([9.0, 5.0, 1.0, 8.0, 0.0, 4.0])
    assert correct(values, np.array([True, True, False, False, False, True]), 4) == 3  # 9 yes, 8 no; 0 and 1 no


# ---- divergences and scores -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "binned", "gaussian"),
    [(8, 6.5, None), (16, 3.9, 0.15), (32, 1.7, None), (64, 0.63, None), (100, 0.35, 0.02), (512, 0.05, None)],
)
def test_the_floors_of_equal_samples(n: int, binned: float, gaussian: float | None) -> None:
    left, right = np.random.default_rng(0).normal(size=(2, n, 1_500))
    everyone = np.ones(left.shape, dtype=bool)
    assert binned_divergence(left, right, everyone).mean() == pytest.approx(binned, rel=0.06)
    if gaussian is not None:
        assert gaussian_divergence(left, right, everyone).mean() == pytest.approx(gaussian, rel=0.15)


def test_the_divergence_of_two_gaussians() -> None:
    generator = np.random.default_rng(0)
    left, right = generator.normal(1.0, 1.0, (20_000, 1)), generator.normal(0.0, 2.0, (20_000, 1))
    expected = log(2) + (1 + 1) / (2 * 4) - 0.5
    everyone = np.ones(left.shape, dtype=bool)
    assert gaussian_divergence(left, right, everyone)[0] == pytest.approx(expected, abs=0.02)
    assert binned_divergence(left, right, everyone)[0] == pytest.approx(expected, abs=0.05)


def test_the_largest_sample_is_in_a_bin_and_the_mask_counts() -> None:
    sample = np.linspace(0.0, 1.0, 64)[:, None]
    everyone = np.ones(sample.shape, dtype=bool)
    assert binned_divergence(sample, sample, everyone)[0] == pytest.approx(0.0, abs=1e-9)
    with_noise = np.concatenate([sample, sample + 50.0])
    mine = np.arange(128)[:, None] < 64
    assert binned_divergence(with_noise, sample, mine)[0] == pytest.approx(0.0, abs=1e-9)
    assert gaussian_divergence(with_noise, sample, mine)[0] == pytest.approx(0.0, abs=1e-9)


def test_20_bins_below_64_models_are_refused() -> None:
    signals = np.random.default_rng(0).normal(size=(40, 3))
    few = Evidence({"unlearned.forget": several(signals), "retrained.forget": several(signals, first=40)})
    with pytest.raises(TooFew, match="64"):
        KLoMBins().findings(few)
    assert {one.metric for one in KLoM(draws=39).findings(few)} == {"klom_forget_mean", "klom_forget_p95"}


def test_the_challenge_reads_equal_samples_as_its_null_value() -> None:
    found = [np.random.default_rng(seed).normal(size=(2, 128, 40)) for seed in range(5)]
    assert np.mean([epsilons(*pair).mean() for pair in found]) == pytest.approx(1.1, abs=0.2)
    assert 0.33 < np.mean([forgetting_score(*pair) for pair in found]) < 0.44
    apart = np.stack([np.arange(10.0), np.arange(10.0) + 50])[:, :, None]
    assert epsilons(*apart)[0] == np.inf and forgetting_score(*apart) == 0.0


def test_the_challenge_has_no_verdict() -> None:
    values = np.random.default_rng(0).normal(size=(2, 12, 5))
    evidence = Evidence({"unlearned.forget": several(values[0] + 9), "retrained.forget": several(values[1], first=12)})
    (found,) = Challenge().findings(evidence, evidence)
    assert found.verdict == "inconclusive" and found.value == 0.0 and "uncalibrated" in found.metric
    assert 0.2 < found.null_floor < 0.8


# ---- against retrains -----------------------------------------------------------------------------------------------


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
        (found,) = Relearn().findings(evidence, control)
        assert found.verdict == verdict
        assert found.value == pytest.approx(4 / 9 if verdict == "fail" else 1.0, abs=0.02)


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


# ---- what every metric owes -----------------------------------------------------------------------------------------


def test_a_missing_reference_is_an_error_that_names_it() -> None:
    with pytest.raises(MissingReference, match="retrained.forget"):
        KLoM().findings(Evidence({"unlearned.forget": halves(16, 4, 0.0)}))


def test_models_that_depend_on_the_retrains_are_no_second_group() -> None:
    signals = halves(16, 4, 0.0)
    with pytest.raises(TooFew, match="none of them on both"):
        KLoM().findings(Evidence({"unlearned.forget": signals, "retrained.forget": signals}))


def test_what_would_not_have_been_seen_is_inconclusive() -> None:
    clean, dirty = (Evidence({"unlearned.forget": halves(24, 30, shift)}) for shift in (0.0, 2.0))
    verdicts = {
        case: ULiRA(draws=99).findings(one, control)[0].verdict
        for case, one, control in (
            ("alone", clean, None), ("unseen", clean, clean), ("seen", clean, dirty), ("found", dirty, dirty)
        )
    }  # fmt: skip
    assert verdicts == {"alone": "inconclusive", "unseen": "inconclusive", "seen": "pass", "found": "fail"}


def test_over_forgetting_fails_too() -> None:
    over = Evidence({"unlearned.forget": halves(24, 30, -2.0)})
    (area, *_), (rmia,) = (
        ULiRA(draws=99).findings(over),
        RMIA(draws=99).findings(Evidence(over.parts | {"unlearned.held_out": halves(24, 30, 0.0, seed=4)})),
    )
    (swap,) = Swap(draws=99).findings(over)
    assert (area.verdict, rmia.verdict, swap.verdict) == ("fail", "fail", "fail")
    assert rmia.value < 0.5
