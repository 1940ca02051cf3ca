"""Divergences and scores, against Gaussians and published floors."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
import torch

from tests.unlearn.audit.attacks.gaussians import several
from unlearn.audit.attacks import (
    Challenge,
    Evidence,
    KLoM,
    KLoMBins,
    TooFew,
)
from unlearn.audit.attacks.challenge import epsilons, forgetting_score
from unlearn.audit.attacks.klom import binned_divergence, gaussian_divergence


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


def test_margins_are_clipped_at_100_and_at_nothing_nearer() -> None:
    sample = np.linspace(0.0, 1.0, 64)[:, None]
    everyone = np.ones(sample.shape, dtype=bool)
    assert binned_divergence(sample + 200.0, sample + 300.0, everyone)[0] == pytest.approx(0.0, abs=1e-9)
    assert binned_divergence(sample + 80.0, sample + 90.0, everyone)[0] > 1.0


@pytest.mark.parametrize(
    ("metric", "divergence"), [(KLoM(draws=39), gaussian_divergence), (KLoMBins(draws=39), binned_divergence)]
)
def test_the_figures_are_mean_and_95th_percentile_over_examples(metric: Any, divergence: Any) -> None:
    values = np.random.default_rng(0).normal(size=(140, 9)) * np.arange(1, 10) + np.arange(9)
    left, right = several(values[:70] + np.arange(9) ** 2), several(values[70:], first=70)
    everyone = np.ones((70, 9), dtype=bool)
    far = divergence(left.values.numpy(), right.values.numpy(), everyone)
    found = metric.read(Evidence({"unlearned.forget": left, "retrained.forget": right}))
    assert found[f"{metric.name}_forget_mean"].value == pytest.approx(far.mean())
    assert found[f"{metric.name}_forget_p95"].value == pytest.approx(np.quantile(far, 0.95))


def test_examples_that_hardly_any_model_had_are_left_out() -> None:
    signals = np.random.default_rng(0).normal(size=(2, 8, 4)) + 5.0 * np.arange(4)
    mine, others = several(signals[0]), several(signals[1], first=8)
    had = torch.ones(8, 4, dtype=torch.bool)
    had[2:, 1] = False  # two had it, of whom nothing is known
    far = gaussian_divergence(signals[0], signals[1], had.numpy())[[0, 2, 3]]
    told = replace(mine, member=had)
    found = KLoM(draws=39).read(Evidence({"unlearned.forget": told, "retrained.forget": others}))
    assert found["klom_forget_mean"].value == pytest.approx(far.mean())


def test_20_bins_below_64_models_are_refused() -> None:
    signals = np.random.default_rng(0).normal(size=(40, 3))
    few = Evidence({"unlearned.forget": several(signals), "retrained.forget": several(signals, first=40)})
    with pytest.raises(TooFew, match="64"):
        KLoMBins().findings(few)
    assert {one.metric for one in KLoM(draws=39).findings(few)} == {"klom_forget_mean", "klom_forget_p95"}


@pytest.mark.parametrize("sides", [(12, 3), (3, 12)])
def test_either_side_may_be_too_small(sides: tuple[int, int]) -> None:
    signals = np.random.default_rng(0).normal(size=(15, 3))
    mine, others = several(signals[: sides[0]]), several(signals[sides[0] :], first=sides[0])
    with pytest.raises(TooFew, match=r"4 on each side for `klom` \(got 3\)"):
        KLoM(draws=39).findings(Evidence({"unlearned.forget": mine, "retrained.forget": others}))


def test_the_challenge_reads_equal_samples_as_its_null_value() -> None:
    found = [np.random.default_rng(seed).normal(size=(2, 128, 40)) for seed in range(5)]
    assert np.mean([epsilons(*pair).mean() for pair in found]) == pytest.approx(1.1, abs=0.2)
    assert 0.33 < np.mean([forgetting_score(*pair) for pair in found]) < 0.44
    apart = np.stack([np.arange(10.0), np.arange(10.0) + 50])[:, :, None]
    assert epsilons(*apart)[0] == np.inf and forgetting_score(*apart) == 0.0


def challenged(unlearned: np.ndarray, retrained: np.ndarray) -> float:
    """Epsilon of one example, threshold by threshold."""
    sign = -1.0 if np.median(unlearned) < np.median(retrained) else 1.0
    mine, theirs, found = sign * unlearned, sign * retrained, 0.0
    for threshold in np.concatenate([mine, theirs]):
        missed, alarms = float((mine <= threshold).mean()), float((theirs > threshold).mean())
        if missed == alarms == 0.0:
            return np.inf
        if missed and alarms:
            for one, other in ((alarms, missed), (missed, alarms)):
                found = max(found, min(50.0, log((1 - 1e-5 - one) / other)) if one < 1 - 1e-5 else 0.0)
    return found


@pytest.mark.parametrize("ties", [False, True])
def test_the_challenge_is_its_rule_for_every_threshold(ties: bool) -> None:
    """Of two groups that differ in size, and of signals that are equal within and between them."""
    generator = np.random.default_rng(0)
    mine, theirs = generator.normal(0.4, 1.0, (9, 60)), generator.normal(0.0, 1.0, (23, 60))
    mine, theirs = (one.round(0) if ties else one for one in (mine, theirs))
    expected = [challenged(*pair) for pair in zip(mine.T, theirs.T, strict=True)]
    np.testing.assert_allclose(epsilons(mine, theirs), expected)
    assert forgetting_score(mine, theirs) == pytest.approx(np.mean([2.0 ** -(one // 0.5) for one in expected]))


def test_the_challenge_has_no_verdict() -> None:
    values = np.random.default_rng(0).normal(size=(2, 12, 5))
    evidence = Evidence({"unlearned.forget": several(values[0] + 9), "retrained.forget": several(values[1], first=12)})
    (found,) = Challenge().findings(evidence, control=[evidence])
    assert found.verdict == "inconclusive" and found.value == 0.0 and "uncalibrated" in found.metric
    assert 0.2 < found.null_floor < 0.8
