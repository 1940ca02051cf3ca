"""`unlearn recommend`: the best of what is new."""

from __future__ import annotations

from pathlib import Path

from recsys.data import Interactions
from tests.cli.run import answer, lists, refusal


def test_recommendations_are_new_to_the_user_and_best_first(model: Path, data: Interactions) -> None:
    user = str(data.users.ids[7])
    (items,) = lists(model, user).values()
    seen = set(data.frame().query("user == @user").item)
    assert len(items) == 5
    assert not {entry["item"] for entry in items} & seen
    assert [entry["score"] for entry in items] == sorted((entry["score"] for entry in items), reverse=True)
    best = items[0]["item"]
    suppressed = answer("recommend", "--model", model, "--user", user, "--k", "5", "--suppress", str(best))
    without = [entry["item"] for entry in suppressed["recommendations"][0]["items"]]
    assert without[:4] == [entry["item"] for entry in items[1:]]


def test_a_list_is_as_long_as_there_are_items_however_long_it_may_be(model: Path, data: Interactions) -> None:
    user = str(data.users.ids[7])
    seen = set(data.frame().query("user == @user").item)
    asked = ("recommend", "--model", model, "--user", user, "--k", str(10**15))
    (found,) = answer(*asked)["recommendations"]
    assert {entry["item"] for entry in found["items"]} == set(data.items.ids) - seen


def test_a_changed_file_is_refused(model: Path, data: Interactions) -> None:
    users = model / "model" / "users.parquet"
    users.write_bytes(users.read_bytes() + b"\0")
    assert "users.parquet was changed" in refusal(2, "recommend", "--model", model, "--user", str(data.users.ids[0]))
