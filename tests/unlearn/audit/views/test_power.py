"""Variance components and power, against draws with known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from unlearn.audit.views.power import decomposed, power, smallest


def test_components_are_recovered() -> None:
    rng = np.random.default_rng(0)
    training, own = rng.normal(0, 2.0, (400, 1)), rng.normal(0, 1.0, (400, 5))
    found = decomposed((training + own).tolist())
    assert found["sigma_s"] == pytest.approx(2.0, rel=0.1)
    assert found["sigma_u"] == pytest.approx(1.0, rel=0.06)
    alone = decomposed((training + own)[:, :1].tolist())
    assert alone["sigma_s"] == pytest.approx(5**0.5, rel=0.1)  # one run each: both kinds of spread together
    assert np.isnan(alone["sigma_u"])


def test_the_smallest_difference_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(1)
    for runs in (2, 3, 4, 8):
        draws = rng.normal(smallest(1.0, runs), 1.0, (40_000, runs))
        found = np.mean(stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05)
        assert 0.79 <= found <= 0.81, runs


def comparison(values: dict[str, list[float]], arguments: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {"method": name, "seed": seed, "request": 0, "values": {"forget_auc": value}}
        for name, series in values.items()
        for seed, value in enumerate(series)
    ]
    return {"raw": {"measurements": rows}, "settings": {"methods": arguments}}


def test_differences_pair_the_seeds_and_rows_that_differ_by_their_seed_are_one_method() -> None:
    retrain = [0.50, 0.60, 0.70]
    found = power(
        comparison(
            {
                "retrain": retrain,
                "placebo": [0.9],
                "a(seed=0, lr=1)": [0.51, 0.61, 0.71],
                "a(seed=1, lr=1)": [0.53, 0.63, 0.73],
                "a(seed=0, lr=2)": [0.55, 0.65, 0.75],
            },
            {
                "a(seed=0, lr=1)": {"seed": 0, "lr": 1},
                "a(seed=1, lr=1)": {"seed": 1, "lr": 1},
                "a(seed=0, lr=2)": {"seed": 0, "lr": 2},
            },
        )
    )
    assert found
    first, second = found["rows"]
    assert (first["method"], first["method_runs"], first["training_runs"]) == ("a(seed=0, lr=1)", 2, 3)
    assert first["difference"] == pytest.approx(0.02)
    # The seeds of training move method and retrain alike: nothing of it is left in the differences.
    assert first["sigma_s"] == pytest.approx(0, abs=1e-9)
    assert first["sigma_u"] == pytest.approx(0.02 / 2**0.5)
    assert (second["method"], second["method_runs"]) == ("a(seed=0, lr=2)", 1)


def test_requests_of_a_seed_are_averaged_and_are_no_runs() -> None:
    retrain = [0.5, 0.6, 0.7]
    rows = [
        {"method": name, "seed": seed, "request": request, "values": {"forget_auc": value}}
        for seed, base in enumerate(retrain)
        for request in range(4)
        for name, value in (("retrain", base + 0.1 * request), ("a", base + 0.1 * request + 0.01 * seed))
    ]
    found = power({"raw": {"measurements": rows}})
    assert found
    (row,) = found["rows"]
    assert (row["training_runs"], row["difference"]) == (3, pytest.approx(0.01))
    assert row["sigma_s"] == pytest.approx(0.01)
    assert power({"raw": {"measurements": [one for one in rows if one["seed"] == 0]}}) is None


def test_one_run_has_no_power() -> None:
    assert power(comparison({"retrain": [0.5], "a": [0.6]}, {})) is None
