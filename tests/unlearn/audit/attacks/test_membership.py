"""Attacks by membership, against closed forms and enumeration."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tests.unlearn.audit.attacks.gaussians import halves
from unlearn.audit.attacks import (
    RMIA,
    Evidence,
    Swap,
    TooFew,
    ULiRA,
)
from unlearn.audit.attacks.groups import auc, usable, without_own
from unlearn.audit.attacks.rmia import ranked, relative
from unlearn.audit.attacks.swap import advantages, thresholds_passed
from unlearn.audit.attacks.u_lira import figures, likelihood_ratios
from unlearn.audit.chance import orders
from unlearn.audit.signals import Signals


def test_the_area_is_that_of_enumeration_and_counts_ties_half() -> None:
    scores, positive = np.random.default_rng(0).integers(0, 4, 40).astype(np.float64), np.arange(40) % 3 == 0
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in scores[positive] for n in scores[~positive]]
    assert auc(scores, positive) == pytest.approx(np.mean(wins))


def test_u_lira_reaches_what_the_neyman_pearson_test_of_two_gaussians_does() -> None:
    signals = halves(300, 120, shift=1.0)
    member = signals.member.numpy()[None]
    ((area, accuracy, one_percent, tenth),) = figures(
        likelihood_ratios(signals.values.numpy(), member, signals.draws), member
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
    np.testing.assert_allclose(likelihood_ratios(values + 1e7, member, signals.draws), found, rtol=1e-5, atol=1e-7)
    assert len(ULiRA(draws=39).readings(Evidence({"unlearned.forget": halves(8, 3, shift=0.7)}))) == 4
    with pytest.raises(TooFew, match="must include 4 that were trained"):
        ULiRA(draws=39).readings(Evidence({"unlearned.forget": halves(6, 3, shift=0.7)}))


def test_usable_is_what_enough_models_had_and_enough_had_not() -> None:
    member = np.arange(7)[:, None] < np.array([2, 3, 4, 5, 7])
    assert usable(member).tolist() == [1, 2]
    assert usable(member, least=2).tolist() == [0, 1, 2, 3]
    with pytest.raises(TooFew, match=r"got 7 models, at best 2"):
        usable(member[:, [0, 3, 4]])


@pytest.mark.parametrize("blocks", [(4, 4, 5, 5), (4, 4, 4, 5), (4, 5, 5, 6), (4, 5, 6, 7)])
def test_sums_leave_out_the_own_block_whatever_its_size(blocks: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(2, 4, 3))
    expected = [values[:, [k for k in range(4) if blocks[k] != own]].sum(1) for own in blocks]
    np.testing.assert_allclose(without_own(values, blocks), np.stack(expected, axis=1), atol=1e-14)


def test_few_models_share_one_variance_and_many_have_their_own() -> None:
    signals = halves(400, 4, shift=1.0)
    spread = np.array([0.1, 1.0, 1.0, 10.0])
    values, member = signals.values.numpy() * spread, signals.member.numpy()
    many = likelihood_ratios(values, member, signals.draws)
    # With a variance of its own, an example's ratio does not depend on the units of its signal.
    plain = likelihood_ratios(signals.values.numpy(), member, signals.draws)
    np.testing.assert_allclose(many, plain, rtol=1e-6, atol=1e-8)
    few = halves(126, 4, shift=1.0)
    scaled = likelihood_ratios(few.values.numpy() * spread, few.member.numpy(), few.draws)
    shared = likelihood_ratios(few.values.numpy(), few.member.numpy(), few.draws)
    assert np.abs(scaled - shared).max() > 0.1


def test_signals_that_never_vary_tell_nothing() -> None:
    signals = halves(12, 3, shift=0.7)
    member = signals.member.numpy()
    for form in ("online", "offline"):
        assert not likelihood_ratios(np.ones(member.shape), member, signals.draws, form).any()


def test_the_variance_of_an_example_is_that_of_its_samples() -> None:
    signals = halves(128, 3, shift=0.7)
    values, member, blocks = signals.values.numpy(), signals.member.numpy(), np.array(signals.draws)
    found = likelihood_ratios(values, member, signals.draws)
    for j, e in np.ndindex(128, 3):
        others = blocks != blocks[j]
        mine, never = (values[others & (member[:, e] == kind), e] for kind in (True, False))
        expected = norm.logpdf(values[j, e], mine.mean(), mine.std(ddof=1))
        expected -= norm.logpdf(values[j, e], never.mean(), never.std(ddof=1))
        assert found[j, e] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.integers(0, 10_000), st.sampled_from([100, 149, 250, 1_000]), st.booleans())
def test_a_rate_is_the_best_of_all_thresholds_that_keep_the_level(seed: int, negatives: int, ties: bool) -> None:
    scores = np.random.default_rng(seed).normal(size=(1, 80 + negatives)) + np.r_[np.ones(80), np.zeros(negatives)]
    scores = scores.round(1) if ties else scores
    member = (np.arange(80 + negatives) < 80)[None]
    found = figures(scores[None], member[None])[0, 2:]
    for level, rate in zip((0.01, 0.001), found, strict=True):
        allowed = [
            float((scores[member] > bar).mean())
            for bar in scores[~member]
            if (scores[~member] > bar).mean() <= level + 1e-12
        ]
        assert np.isnan(rate) if negatives * level < 1 else rate == pytest.approx(max(allowed))


def test_a_rate_needs_as_many_negatives_as_it_has_levels() -> None:
    generator = np.random.default_rng(0)
    scores, member = generator.normal(size=(20, 30)), np.arange(600).reshape(20, 30) % 2 == 0
    ((_, _, one_percent, tenth),) = figures(scores[None], member[None])
    assert np.isfinite(one_percent) and np.isnan(tenth)
    evidence = Evidence({"unlearned.forget": halves(20, 30, 0.0)})
    found = {one.metric: one for one in ULiRA(draws=39).findings(evidence)}
    # Few of the deleted above the bar are no sign of anything, many are.
    assert np.isinf(found["u_lira_tpr_at_1_percent"].high) and np.isfinite(found["u_lira_balanced_accuracy"].high)
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
    with pytest.raises(ValueError, match="`a` must be at least 0 and at most 1.*\n`gamma` must be positive"):
        RMIA(a=2.0, gamma=0.0)
    with pytest.raises(ValueError, match=r'`form` must be "online" or "offline" for `u_lira` \(got \'ofline\'\)'):
        ULiRA(form="ofline")


def test_a_ratio_equal_to_gamma_reaches_it() -> None:
    """Whoever says the same of an example as of the population, relative to the others, reaches all of it at 1."""
    values = np.zeros((6, 2))
    member = np.array([[1, 0]] * 3 + [[0, 1]] * 3, dtype=bool)
    found = relative(values, member, ranked(np.zeros((6, 4)), range(6)), range(6))
    assert (found == 1.0).all()


def test_swap_counts_what_was_pushed_below_the_never_seen() -> None:
    signals = halves(200, 200, shift=-1.0)
    values = signals.values - signals.values.mean(0)
    pushed = Evidence({"unlearned.forget": Signals(values, signals.member, signals.blocks)})
    (found,) = Swap(draws=39).read(pushed).values()
    assert found.value == pytest.approx(1 - (2 * norm.cdf(0.5) - 1), abs=0.02)
    assert found.alarm


def test_rmia_of_gaussians_is_the_normal_integral() -> None:
    signals = halves(200, 60, shift=1.0)
    held_out = halves(200, 400, shift=0.0, seed=9)
    nobody = Signals(held_out.values, torch.zeros_like(held_out.member), held_out.blocks)
    (found,) = RMIA(draws=39).read(Evidence({"unlearned.forget": signals, "unlearned.held_out": nobody})).values()
    assert found.value == pytest.approx(norm.cdf(1 / sqrt(2)), abs=0.02)
    assert found.alarm
    values, member, population = signals.values.numpy(), signals.member.numpy(), nobody.values.numpy()
    scores = relative(values, member, ranked(population, signals.draws, 1.0), signals.draws, a=1.0, gamma=1.0)
    assert found.value == pytest.approx(auc(scores, member), abs=1e-12)
    with pytest.raises(TooFew, match="must hold a population"):
        RMIA().read(Evidence({"unlearned.forget": signals, "unlearned.held_out": nobody.columns(slice(0))}))


@pytest.mark.parametrize("at_once", [1, 700, 2**14])
def test_many_relabellings_at_once_are_one_after_another(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attack by membership, on 240 cells of which `at_once` are worked on together."""
    monkeypatch.setattr("unlearn.audit.attacks.groups._AT_ONCE", at_once)
    signals, held_out = halves(12, 20, shift=0.7), halves(12, 30, shift=0.0, seed=9)
    nobody = Signals(held_out.values, torch.zeros_like(held_out.member), held_out.blocks)
    evidence = Evidence({"unlearned.forget": signals, "unlearned.held_out": nobody}, seed=4)
    values, member, blocks = signals.values.numpy(), signals.member.numpy(), signals.draws
    others = ranked(nobody.values.numpy(), blocks)
    at_least = [values >= threshold for threshold in np.quantile(values, np.arange(1, 33) / 33)]

    def rate(which: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Of each model, the share of the examples on that side."""
        return (which & side).sum(1) / side.sum(1)

    def figure_by_figure(labels: np.ndarray) -> list[float]:
        ratios, shares = likelihood_ratios(values, labels, blocks), relative(values, labels, others, blocks)
        accuracy = ((ratios[labels] > 0).mean() + (ratios[~labels] <= 0).mean()) / 2
        bar = np.sort(ratios[~labels])[-2]  # one of 120 others lies above it, which is less than 1 %
        told_apart = [(rate(passed, labels) - rate(passed, ~labels)).mean() for passed in at_least]
        attacked = [auc(ratios, labels), accuracy, (ratios[labels] > bar).mean(), auc(shares, labels)]
        return [*attacked, 1 - np.abs(told_apart).max()]

    drawn = orders(blocks, draws=39, seed=4)
    expected = np.array([figure_by_figure(member[order]) for order in drawn])
    readings = {**ULiRA(draws=39).readings(evidence), **RMIA(draws=39).readings(evidence)}
    readings |= Swap(draws=39).readings(evidence)
    names = ("u_lira_auc", "u_lira_balanced_accuracy", "u_lira_tpr_at_1_percent", "rmia_auc", "swap_quality")
    found = [readings[name] for name in names]
    np.testing.assert_allclose(np.stack([one.null for one in found], axis=1), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose([one.value for one in found], figure_by_figure(member), rtol=0, atol=1e-12)
    assert len(np.unique(expected[:, 0])) > 30


def test_swap_cancels_what_tells_the_sets_apart_by_themselves() -> None:
    """Deleted and never-seen of one split differ by themselves; under the other split the same difference counts."""
    values = np.tile(np.array([5.0, 4.0, 0.0, 1.0]), (2, 1))
    member = np.array([[True, True, False, False], [False, False, True, True]])
    assert np.abs(advantages(thresholds_passed(values), member[None])).max() == 0.0
    one_sided = np.array([[True, True, False, False]] * 2)
    assert np.abs(advantages(thresholds_passed(values), one_sided[None])).max() == 1.0


def test_swap_reads_the_advantage_of_the_best_threshold() -> None:
    signals = halves(200, 200, shift=1.0)
    values = signals.values - signals.values.mean(0)
    (found,) = (
        Swap(draws=39).read(Evidence({"unlearned.forget": Signals(values, signals.member, signals.blocks)})).values()
    )
    assert found.value == pytest.approx(1 - (2 * norm.cdf(0.5) - 1), abs=0.02)
    assert found.alarm and found.floor > 0.97
