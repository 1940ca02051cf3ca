"""Single records: who is exposed comes first, and chance leaves one in forty."""

from __future__ import annotations

import numpy as np

from unlearn.audit.views.records import records


def signals(shifts: np.ndarray, *, models: int, seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    member = rng.random((models, len(shifts))) < 0.5
    values = rng.normal(size=member.shape) + member * shifts
    levels = ["exposed" if shift else "hidden" for shift in shifts]
    part = {"values": values.tolist(), "member": member.tolist(), "blocks": list(range(models))}
    return {
        "signals": {"shared": {}, "method": {"unlearned.forget": part}},
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
    assert view["method"]["above_zero"] <= view["method"]["by_chance"]
    assert len(view["method"]["rows"]) == 120 and view["method"]["records"] == 600


def test_a_pool_that_is_too_small_says_nothing() -> None:
    assert records(signals(np.zeros(5), models=6, seed=2)) is None
    assert records({}) is None
