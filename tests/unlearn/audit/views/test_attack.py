"""Threshold attacks, against counting by hand, other implementations and repeated draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from unlearn.audit.attacks.u_lira import figures, likelihood_ratios
from unlearn.audit.measures import auc
from unlearn.audit.views.attack import attacks, auc_interval, detection, rates


def samples(shift: float, seed: int, p: int = 80, n: int = 120) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, p), rng.normal(0, 1, n)


def document(*pairs: tuple[str, Any, Any]) -> dict[str, Any]:
    rows = [
        {"method": name, "raw": {"positive": positive.tolist(), "negative": negative.tolist()}}
        for name, positive, negative in pairs
    ]
    return {"comparison": {"raw": {"measurements": rows}}}


def test_rates_count_from_the_threshold_on() -> None:
    found = rates(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0, 2.0, 5.0]), 2.0)
    assert found == {"tpr": 0.75, "fpr": 0.75, "accuracy": 0.5, "advantage": 0.0}
    assert rates(np.array([1.0]), np.array([2.0]), 1.5)["advantage"] == 1.0  # the wrong way round is no defence


def test_detection_is_the_best_threshold_within_the_false_alarms() -> None:
    """Against every threshold there is, ties included."""
    rng = np.random.default_rng(0)
    positive, negative = np.round(rng.normal(0.5, 1, 60), 1), np.round(rng.normal(0, 1, 45), 1)
    bars = [*np.unique(np.concatenate([positive, negative])), np.inf]
    for fpr in (0.0, 1 / 45, 0.05, 0.3, 0.77, 1.0):
        slow = max((positive >= bar).mean() for bar in bars if (negative >= bar).mean() <= fpr + 1e-12)
        assert detection(positive, negative, np.array([fpr]))[0] == pytest.approx(slow)


def test_area_is_that_of_the_measures_and_its_interval_covers() -> None:
    positive, negative = samples(0.7, 1)
    value, low, high = auc_interval(positive, negative)
    assert value == pytest.approx(auc(torch.from_numpy(positive), torch.from_numpy(negative)))
    assert high - low < 0.2
    for shift, p, n in ((0.7, 80, 120), (0.0, 10, 10), (2.7, 50, 50), (3.6, 20, 20), (3.6, 5, 5), (0.7, 5, 200)):
        truth = 0.5 * (1 + float(torch.erf(torch.tensor(shift / 2))))  # Phi(d / sqrt 2), up to .995
        ends = [auc_interval(*samples(shift, seed, p, n))[1:] for seed in range(300)]
        # By the normal distribution five against two hundred would be covered in .89.
        assert np.mean([low <= truth <= high for low, high in ends]) >= 0.91, (shift, p, n)


def test_five_that_are_all_told_apart_prove_little() -> None:
    assert auc_interval(np.arange(5.0) + 9, np.arange(7.0)) == (1.0, pytest.approx(0.025 ** (1 / 5)), 1.0)
    assert auc_interval(np.arange(5.0) - 9, np.arange(7.0)) == (0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / 5)))


def test_the_interval_of_a_pool_is_over_its_models() -> None:
    """Sixteen models, nothing left: chance lies outside in one draw of twenty, which it does not over examples."""
    outside, over_examples = 0, 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        first = rng.random((8, 40)) < 0.5
        member = np.stack([first, ~first], 1).reshape(16, 40)
        values = rng.normal(size=(16, 40))
        part = {"values": values.tolist(), "member": member.tolist(), "blocks": [k // 2 for k in range(16)]}
        found = attacks({"signals": [{"seed": 0, "parts": {"method": {"unlearned.forget": part}}}]})
        assert found
        (one,) = found["attacks"][0]["methods"]
        told = found["samples"]["likelihood ratio"]["method"]
        _, low, high = auc_interval(np.array(told["positive"]), np.array(told["negative"]))
        area = one["auc"]
        assert one["over"] == "models" and area["chance"] == pytest.approx(0.5, abs=0.03)
        outside += not area["low"] <= area["chance"] <= area["high"]
        over_examples += not low <= 0.5 <= high
    assert outside <= 10 < over_examples


@pytest.mark.parametrize("n", [40, 99, 100, 640, 1_000])
def test_what_is_caught_at_1_and_10_percent_is_read_there(n: int) -> None:
    positive, negative = samples(1.5, 3, n=n)
    found = attacks(document(("one", positive, negative)))
    assert found
    (one,) = found["attacks"][0]["methods"]
    shown = dict(zip(one["roc"]["fpr"], one["roc"]["tpr"], strict=True))
    for rate in (0.01, 0.1):
        at = max((fpr for fpr in shown if fpr <= rate), default=None)
        assert at == (rate if rate * n >= 1 else None)
        if at is not None:
            assert shown[at] == detection(positive, negative, np.array([rate]))[0]
    assert one["roc"]["fpr"][0] == pytest.approx(1 / n) and one["roc"]["fpr"][-1] == 1.0


def test_areas_and_curves_are_of_all_scores_however_few_are_kept() -> None:
    """An even choice with both ends catches more at few false alarms than all of them, beside draws of all of them."""
    rng = np.random.default_rng(0)
    first = rng.random((6, 500)) < 0.5
    member = np.stack([first, ~first], 1).reshape(12, 500)
    values, blocks = rng.normal(size=(12, 500)) + 0.5 * member, [k // 2 for k in range(12)]
    part = {"values": values.tolist(), "member": member.tolist(), "blocks": blocks}
    found = attacks({"signals": [{"seed": 0, "parts": {"method": {"unlearned.forget": part}}}]})
    assert found and len(found["samples"]["likelihood ratio"]["method"]["positive"]) == 1_000
    (one,) = found["attacks"][0]["methods"]
    scores = likelihood_ratios(values, member, blocks)
    ((area, *_),) = figures(scores[None], member[None])
    assert one["auc"]["value"] == pytest.approx(area, abs=1e-12)
    grid = np.array(one["roc"]["fpr"])
    assert one["roc"]["tpr"] == detection(scores[member], scores[~member], grid).tolist()


def test_the_first_threshold_has_the_largest_advantage_in_either_direction() -> None:
    for way in (1, -1):
        positive, negative = (way * side for side in samples(0.8, 2))
        found = attacks(document(("one", positive, negative)))
        assert found
        (one,) = found["attacks"][0]["methods"]
        best = max(rates(positive, negative, t)["advantage"] for t in np.concatenate([positive, negative]))
        assert one["at_threshold"]["advantage"] == pytest.approx(best)
        assert one["at_threshold"] == rates(positive, negative, one["threshold"])
        # Turned round the attack works as well: the envelope sees it, the plain curve of the second does not.
        assert found["envelope"]["one"]["tpr"][30] > 1.5 * found["envelope"]["one"]["fpr"][30]


def test_the_envelope_is_nowhere_below_a_curve_and_runs_of_a_method_are_pooled() -> None:
    first, second = samples(0.5, 3), samples(0.9, 4)
    found = attacks(document(("one", *first), ("one", *second), ("two", *second)))
    assert found
    one, two = found["attacks"][0]["methods"]
    assert (one["n_positive"], one["n_negative"], two["n_positive"]) == (160, 240, 80)
    assert one["positive"] == [f"/comparison/raw/measurements/{k}/raw/positive" for k in (0, 1)]
    for of in (one, two):
        curve, envelope = of["roc"], found["envelope"][of["method"]]
        assert curve["fpr"] == envelope["fpr"] and curve["fpr"][0] == pytest.approx(1 / of["n_negative"])
        assert np.all(np.array(envelope["tpr"]) >= curve["tpr"])
        assert np.all(np.array(curve["low"]) <= curve["tpr"]) and np.all(np.array(curve["tpr"]) <= curve["high"])
        assert sum(of["histogram"]["positive"]) == pytest.approx(1)


def test_attacks_that_know_each_example_find_what_one_threshold_cannot() -> None:
    """Examples differ far more than membership moves them: only a calibrated attack sees it."""
    rng = np.random.default_rng(5)
    member = rng.random((40, 50)) < 0.5
    values = rng.normal(0, 30, 50) + rng.normal(size=(40, 50)) + 2 * member
    signals = {"unlearned.forget": {"values": values.tolist(), "member": member.tolist(), "blocks": list(range(40))}}
    scores = document(("method", values[member], values[~member])) | {
        "signals": [{"seed": 0, "parts": {"method": signals}}]
    }
    found = attacks(scores)
    assert found
    areas = {of["name"]: of["methods"][0]["auc"]["value"] for of in found["attacks"]}
    assert areas["score"] < 0.56 and areas["likelihood ratio"] > 0.85
    pointer = found["attacks"][1]["methods"][0]["positive"]
    assert pointer == ["/derived/attack/samples/likelihood ratio/method/positive"]
    assert len(found["samples"]["likelihood ratio"]["method"]["positive"]) <= 1_000


def test_where_nothing_is_held_out_the_other_attacks_are_left() -> None:
    rng = np.random.default_rng(1)
    first = rng.random((6, 10)) < 0.5
    member, blocks = np.stack([first, ~first], 1).reshape(12, 10).tolist(), [k // 2 for k in range(12)]
    parts = {
        "unlearned.forget": {"values": rng.normal(size=(12, 10)).tolist(), "member": member, "blocks": blocks},
        "unlearned.held_out": {"values": [[]] * 12, "member": [[]] * 12, "blocks": blocks},
    }
    found = attacks({"signals": [{"seed": 0, "parts": {"method": parts}}]})
    assert found and [one["name"] for one in found["attacks"]] == ["likelihood ratio"]


def test_without_scores_there_is_no_attack() -> None:
    assert attacks({}) is None
    assert attacks(document(("one", np.array([]), np.array([1.0])))) is None
