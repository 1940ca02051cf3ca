"""`unlearn recommend` and `explain` where a service runs the model: nobody who asked to be forgotten is answered to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from recsys.data import Interactions
from tests.cli.run import answer, lists, refusal, unlearn


def items(model: Path, *users: str) -> dict[str, list[Any]]:
    """What is recommended to each; scores differ in their last digits by who else is asked about."""
    return {user: [entry["item"] for entry in best] for user, best in lists(model, *users).items()}


def test_from_the_request_on_nobody_is_answered_to(config: Path, model: Path, data: Interactions) -> None:
    gone, other = map(str, data.users.ids[[3, 5]])
    before = items(model, gone, other)
    made = answer("request", "create", "--identity", gone)
    for _ in range(2):  # while it is pending, and once it was served
        told = refusal(3, "recommend", "--model", model, "--user", gone, "--user", other)
        assert gone in told and other not in told
        if answer("request", "status", made["id"])["state"] == "pending":
            assert items(model, other) == {other: before[other]}
            answer("worker", "--once")
    for unknown in ("skip", "popular"):
        left = answer("recommend", "--model", model, "--user", gone, "--unknown", unknown)
        assert left == {"recommendations": []}


def test_explanations_neither_answer_them_nor_name_them(config: Path, model: Path, data: Interactions) -> None:
    gone, other = map(str, data.users.ids[[3, 5]])
    asked = ("explain", "--model", model, "--user", other, "--k", str(len(data)))
    before = answer(*asked)["interactions"]
    assert gone in {line["user"] for line in before}
    answer("request", "create", "--identity", gone)
    assert gone in refusal(3, "explain", "--model", model, "--user", gone)
    assert answer(*asked)["interactions"] == [line for line in before if line["user"] != gone]


def test_explanations_hold_nothing_of_a_single_interaction_that_is_to_be_forgotten(
    config: Path, model: Path, data: Interactions
) -> None:
    user, other = map(str, data.users.ids[[3, 5]])
    asked = ("explain", "--model", model, "--k", str(len(data)), "--user")
    before, best = answer(*asked, other)["interactions"], answer(*asked, user)["item"]
    (had, *_) = [line["item"] for line in before if line["user"] == user]
    for item in (had, best):
        single = json.dumps(["controller_customer_id", user, str(item)])
        answer("request", "create", "--identity", f"interaction={single}")
    told = {"user": user, "item": had}
    assert answer(*asked, other)["interactions"] == [line for line in before if not told.items() <= line.items()]
    assert answer(*asked, user)["item"] not in (had, best)
    for item in (had, best):
        assert str(item) in refusal(3, *asked, user, "--item", str(item))


def test_a_request_that_is_taken_back_is_no_suppression(config: Path, model: Path, data: Interactions) -> None:
    user = str(data.users.ids[3])
    before, made = items(model, user), answer("request", "create", "--identity", user)
    refusal(3, "recommend", "--model", model, "--user", user)
    answer("request", "cancel", made["id"])
    assert items(model, user) == before


def test_an_item_is_left_out_of_the_list_of_whoever_asked_that_it_be_forgotten(
    config: Path, model: Path, data: Interactions
) -> None:
    user, other = map(str, data.users.ids[[3, 5]])
    before = items(model, user, other)
    first, second = map(str, before[user][:2])
    for item in (first, second):
        single = json.dumps(["controller_customer_id", user, item])
        answer("request", "create", "--identity", f"interaction={single}")
    after = items(model, user, other)
    assert after[other] == before[other] and len(after[user]) == 5
    assert after[user][:3] == before[user][2:]


def test_without_the_key_nobody_can_say_who_is_suppressed(
    config: Path, model: Path, data: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, other = map(str, data.users.ids[[3, 5]])
    monkeypatch.delenv("UNLEARN_CONFIG")
    assert items(model, gone)[gone]  # nobody is suppressed yet
    assert unlearn("request", "create", "--identity", gone, "--config", config).exit_code == 0
    told = refusal(2, "recommend", "--model", model, "--user", other)
    assert "`config` must be the settings of the service that runs" in told
    assert gone in refusal(3, "recommend", "--model", model, "--user", gone, "--config", config)
    elsewhere = Path(shutil.copytree(model, tmp_path / "elsewhere"))
    shutil.copytree(tmp_path / "model.service", tmp_path / "elsewhere.service")
    told = refusal(2, "recommend", "--model", elsewhere, "--user", other, "--config", config)
    assert "the service that runs" in told
