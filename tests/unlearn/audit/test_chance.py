"""Relabelling against enumeration, and readings of several seeds judged together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from unlearn.audit.attacks import Evidence, Swap
from unlearn.audit.chance import Chance, Relabelling, relabelled
from unlearn.audit.pool import Plan
from unlearn.audit.signals import Signals


@given(st.integers(0, 10_000), st.floats(-4, 4), st.sampled_from(["both", "upper", "lower"]))
def test_the_interval_excludes_the_floor_exactly_where_the_test_rejects(seed: int, value: float, side: str) -> None:
    null = np.random.default_rng(seed).normal(size=199)
    found = Chance.of(value, null, side=side)
    assert found.alarm == (not found.low <= found.floor <= found.high) == (found.p_value <= 0.05)
    assert found.floor == pytest.approx(null.mean())


@pytest.mark.parametrize("value", [-29.0, -3.0, 0.0, 18.0, 20.0])
def test_both_sides_are_judged_alike_where_many_draws_are_equal(value: float) -> None:
    null = np.random.default_rng(0).integers(-30, 21, 799).astype(np.float64)
    for side, other in (("both", "both"), ("upper", "lower"), ("lower", "upper")):
        one, two = Chance.of(value, null, side=side, floor=0.0), Chance.of(-value, -null, side=other, floor=0.0)
        assert (one.p_value, one.alarm, one.resolution) == (two.p_value, two.alarm, two.resolution)
        assert (one.low, one.high) == (-two.high, -two.low)
    at_least = (1 + int((null >= value).sum())) / 800
    assert Chance.of(value, null, side="upper", floor=0.0).p_value == min(1.0, 2 * at_least)


def test_ends_that_are_known_do_not_leave_where_the_figure_can_be() -> None:
    null = np.random.default_rng(0).normal(0.5, 0.2, size=199)
    for value in (0.05, 0.95):
        free, held = Chance.of(value, null), Chance.of(value, null, within=(0.0, 1.0))
        assert (held.low, held.high) == (max(free.low, 0.0), min(free.high, 1.0)) != (free.low, free.high)
        assert Relabelling.pooled([Relabelling(value, null, within=(0.0, 1.0))]) == held
        assert Chance.of(value, null, side="upper", within=(0.0, 1.0)).high == math.inf


def test_too_few_relabellings_to_test_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 39"):
        Chance.of(0.0, np.zeros(20))


def test_the_relabelling_test_is_exact_for_the_mean_of_two_groups() -> None:
    """Against scipy's own permutation test, all 252 splits of ten rows enumerated."""
    values = np.random.default_rng(5).normal(size=10) + np.array([1.2] * 5 + [0.0] * 5)
    observed, null = relabelled(
        lambda order: np.array([values[order[:5]].mean() - values[order[5:]].mean()]), range(10), draws=4_999, seed=0
    )
    exact = stats.permutation_test(
        (values[:5], values[5:]), lambda a, b: a.mean() - b.mean(), n_resamples=np.inf, alternative="two-sided"
    )
    assert Chance.of(float(observed[0]), null[:, 0], floor=0.0).p_value == pytest.approx(exact.pvalue, abs=0.02)


def test_blocks_move_as_one() -> None:
    _, orders = relabelled(lambda order: order.astype(np.float64), [4, 4, 5, 5, 9, 9], draws=200, seed=0)
    blocks = orders.reshape(200, 3, 2) // 2
    assert (blocks[..., 0] == blocks[..., 1]).all()
    assert len({tuple(row) for row in orders.tolist()}) == math.factorial(3) * 2**3
    with pytest.raises(ValueError, match="follow each other"):
        relabelled(lambda order: order.astype(np.float64), [0, 1, 0, 1], draws=1, seed=0)


def test_a_subset_under_several_seeds_is_one_draw_however_many_models_it_has() -> None:
    """A half decides its signals and membership does not: an attack errs no more often than without further seeds."""

    def alarms(times: int) -> int:
        found = 0
        for seed in range(200):
            rng = np.random.default_rng(seed)
            plan = Plan.halves(14, 16, seed).repeated(times)
            halves = 2 * rng.normal(size=(16, 1)) + rng.normal(size=(16, 14))
            values = halves.repeat(times, 0) + 0.1 * rng.normal(size=(16 * times, 14))
            told = Signals(torch.from_numpy(values), plan.member, torch.tensor(plan.blocks))
            (one,) = Swap(draws=99).findings(Evidence({"unlearned.forget": told}, seed))
            found += one.verdict == "fail"
        return found

    assert alarms(1) <= 16
    assert alarms(2) <= 16


def test_one_seed_is_judged_as_it_was_and_several_by_the_mean_of_figure_and_draws() -> None:
    nulls = np.random.default_rng(3).normal(size=(3, 199))
    readings = [Relabelling(value, null, "upper") for value, null in zip((0.5, 1.5, 2.0), nulls, strict=True)]
    assert Relabelling.pooled(readings[:1]) == Chance.of(0.5, nulls[0], side="upper")
    pooled = Relabelling.pooled(readings)
    assert pooled == Chance.of(4 / 3, nulls.mean(axis=0), side="upper")
    assert pooled.resolution < 0.8 * min(Relabelling.pooled([one]).resolution for one in readings)
    absent = Relabelling(math.nan, np.full(199, math.nan), "upper")
    assert Relabelling.pooled([*readings, absent]) == pooled  # a figure that a seed does not have
    nothing = Relabelling.pooled([absent])
    assert math.isnan(nothing.value) and not nothing.alarm
    floors = [Relabelling(1.0 + k, nulls[k], floor=0.5 + k) for k in range(3)]
    assert Relabelling.pooled(floors) == Chance.of(2.0, nulls.mean(axis=0), floor=1.5)


def test_the_pooled_test_is_exact_for_the_mean_of_two_strata() -> None:
    """Against all 36 ways of relabelling two seeds of four rows each, apart from each other."""
    rng = np.random.default_rng(1)
    seeds = [rng.normal(size=4) + np.array([1.5, 1.5, 0.0, 0.0]) for _ in range(2)]

    def difference(values: np.ndarray) -> np.ndarray:
        return np.array([values[:2].mean() - values[2:].mean()])

    readings: list[Relabelling] = []
    for seed, values in enumerate(seeds):
        found, null = relabelled(lambda order, v=values: difference(v[order]), range(4), draws=4_999, seed=seed)
        readings.append(Relabelling(float(found[0]), null[:, 0], floor=0.0))
    pairs = [(0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 0, 2), (2, 3, 0, 1)]
    of_seed = [[float(difference(values[list(order)])[0]) for order in pairs] for values in seeds]
    every = np.add.outer(*of_seed) / 2
    observed = np.mean([difference(values)[0] for values in seeds])
    above = np.mean(every >= observed - 1e-12)
    assert Relabelling.pooled(readings).p_value == pytest.approx(min(1.0, 2 * above), abs=0.02)
