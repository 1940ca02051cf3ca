"""What is said to be proven after a deletion, against the truth."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from recsys.data import ratio, synthetic
from unlearn.forget import ForgetSet
from unlearn.methods.retrain import OTHER_START


def test_bounds_hold_and_say_something(run: Any) -> None:
    result = run("proof")
    rows = result["requests"]
    assert [row["request"] for row in rows] == ["5 %", "one user", "one user", "one user"]
    for row in rows:
        # Two points within their own bounds of one solution; and re-convergence came nearer than either says.
        assert row["distance"] <= row["bound"] + row["retrain_bound"]
        assert row["distance"] < 0.01 * row["effect"]
        assert row["bound"] < row["effect"]
    assert rows[0]["effect"] > max(row["effect"] for row in rows[1:]) > 0.0
    assert rows[0]["records_removed"] > max(row["records_removed"] for row in rows[1:])
    for name, figures in result["summary"].items():
        mine = [row for row in rows if row["request"] == name]
        assert figures["bound"]["median"] == statistics.median(row["bound"] for row in mine)
        assert figures["share_below_effect"] == sum(row["bound"] < row["effect"] for row in mine) / len(mine)
    effects = {name: figures["effect"]["median"] for name, figures in result["summary"].items()}
    assert {name: figures["bar"] for name, figures in result["summary"].items()} == pytest.approx(
        {"5 %": 0.5 * effects["5 %"], "one user": effects["one user"]}
    )


def test_below_the_rank_nothing_is_proven(run: Any) -> None:
    result = run("proof")
    narrow, wide = result["floors"]
    assert narrow["dim"] < wide["dim"]
    assert narrow["bound"]["median"] > 0.2 > 0.05 > wide["bound"]["median"]
    assert wide["gap_floor"]["median"] < 1e-3


def test_effect_and_distance_are_those_of_the_dense_scores(load: Any) -> None:
    proof = load("proof")
    data = ratio(synthetic(60, 40, 900, seed=0)).refit()
    user = data.users.take(data.degrees()[0].argsort()[-1:])[0]
    forget = ForgetSet(users=(user,))
    trained = proof.original(data, 24, 0)
    row = proof.serve("one user", trained, forget)

    remaining = trained.without(forget)
    target = proof.retrained(remaining, OTHER_START)
    left = remaining.data.users.alive
    before, after = ((users @ items.T).double().numpy()[left] for users, items in (trained.readout(), target.readout()))
    effect = float(((before - after) ** 2).sum() ** 0.5 / (after**2).sum() ** 0.5)
    assert row["effect"] == pytest.approx(effect, rel=1e-4)
    assert effect > 100 * row["distance"]
    assert row["records_removed"] == len(data) - len(remaining.data)
