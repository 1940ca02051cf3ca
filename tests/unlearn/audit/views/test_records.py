"""Single records: who is exposed comes first, and chance leaves one in forty."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unlearn.audit.views.records import records


def signals(shifts: np.ndarray, *, models: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    member = rng.random((models, len(shifts))) < 0.5
    values = rng.normal(size=member.shape) + member * shifts
    levels = ["exposed" if shift else "hidden" for shift in shifts]
    part = {"values": values.tolist(), "member": member.tolist(), "blocks": list(range(models))}
    return {
        "signals": [{"seed": 0, "parts": {"shared": {}, "method": {"unlearned.forget": part}}}],
        "views": {"records": {"groups": {"kind": {"levels": ["hidden", "exposed"], "of": levels}}}},
    }


def test_the_exposed_come_first_and_their_stratum_says_so() -> None:
    shifts = np.array([0.0] * 30 + [3.0] * 5)
    view = records(signals(shifts, models=60, seed=0))
    assert view
    rows = view["method"]["rows"]
    assert [row["groups"]["kind"] for row in rows[:5]] == ["exposed"] * 5
    assert all(row["low"] > 0 for row in rows[:5]) and rows[5]["value"] < 0.5 * rows[4]["value"]
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    strata = view["method"]["strata"]["kind"]
    assert (strata["exposed"]["n"], strata["hidden"]["n"]) == (5, 30)
    assert strata["exposed"]["median"] > 2 > 0.5 > strata["hidden"]["median"]


def test_chance_alone_exposes_no_more_than_it_is_said_to() -> None:
    view = records(signals(np.zeros(600), models=60, seed=1))
    assert view
    assert view["method"]["above_zero"] <= view["method"]["by_chance"]["high"]
    assert len(view["method"]["rows"]) == 120 and view["method"]["records"] == 600


def test_the_share_by_chance_is_that_of_pools_without_an_effect() -> None:
    """Small pools: far from the one in forty that independent t intervals would have."""
    views = [records(signals(np.zeros(200), models=16, seed=seed)) for seed in range(10)]
    found = [view["method"] for view in views if view]
    assert len(found) == 10
    shares = [of["above_zero"] for of in found]
    said = [of["by_chance"]["value"] for of in found]
    assert np.mean(shares) == pytest.approx(np.mean(said), abs=0.006)
    assert np.mean(said) < 0.02
    inside = [of["by_chance"]["low"] <= of["above_zero"] <= of["by_chance"]["high"] for of in found]
    assert sum(inside) >= 8


def test_seeds_follow_each_other_with_records_of_their_own() -> None:
    first, second = (
        signals(np.array([0.0] * 20 + [3.0] * 3), models=60, seed=0),
        signals(np.zeros(9), models=40, seed=1),
    )
    groups = [one["views"]["records"]["groups"]["kind"] for one in (first, second)]
    joined = {
        "signals": [*first["signals"], second["signals"][0] | {"seed": 1}],
        "views": {"records": {"groups": {"kind": groups[0] | {"of": [*groups[0]["of"], *groups[1]["of"]]}}}},
    }
    alone, view = records(first), records(joined)
    assert alone and view
    assert (view["method"]["records"], view["method"]["models"]) == (32, 100)
    assert view["method"]["rows"][:3] == alone["method"]["rows"][:3]
    assert view["method"]["strata"]["kind"]["exposed"] == alone["method"]["strata"]["kind"]["exposed"]
    assert view["method"]["strata"]["kind"]["hidden"]["n"] == 29


def test_a_pool_that_is_too_small_says_nothing() -> None:
    assert records(signals(np.zeros(5), models=6, seed=2)) is None
    assert records({}) is None


def test_records_are_in_thirds_by_what_their_own_training_did_to_the_models_before() -> None:
    """Of each seed apart, whatever a method made of them, and only where the models before are there."""
    first, second = (signals(np.zeros(30), models=60, seed=seed)["signals"][0] for seed in range(2))
    shift = np.random.default_rng(2).permutation(np.repeat([0.0, 5.0, 10.0], 10))
    for place, one in enumerate((first, second)):
        part = one["parts"]["method"]["unlearned.forget"]
        own = np.array(part["values"]) + np.array(part["member"]) * (shift + 100.0 * place)
        one["parts"]["shared"]["before.forget"] = part | {"values": own.tolist()}
    view = records({"signals": [first, second | {"seed": 1}]})
    assert view
    strata = view["method"]["strata"]["memorisation"]
    assert {level: of["n"] for level, of in strata.items()} == {"low": 20, "middle": 20, "high": 20}
    document = {"signals": [first], "views": {"records": {"groups": {"true": {"levels": [], "of": shift.tolist()}}}}}
    view = records(document)
    assert view
    names = {0.0: "low", 5.0: "middle", 10.0: "high"}
    assert all(names[row["groups"]["true"]] == row["groups"]["memorisation"] for row in view["method"]["rows"])
    del first["parts"]["shared"]["before.forget"]
    view = records(document)
    assert view and list(view["method"]["strata"]) == ["true"]
