"""`unlearn recommend`: the best of what is new."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recsys.data import Interactions
from tests.cli.run import SMALL, answer, lists, refusal, unlearn


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


def test_ids_are_shown_as_they_are(tmp_path: Path) -> None:
    """Neither as styles or pictures, nor by what they tell a terminal to do."""
    items = ["[red]x[/red]", ":smile:", "\x1b[2Jx", "[/]", "plain"]
    pairs = [(f"u{u}", item) for u in range(8) for i, item in enumerate(items) if (u + i) % 3]
    pd.DataFrame(pairs, columns=["user", "item"]).to_parquet(tmp_path / "log.parquet")
    answer("train", "--data", tmp_path / "log.parquet", "--split", "none", "--out", tmp_path / "model", *SMALL)
    for user in ("u0", "u1", "u2"):
        shown = unlearn("recommend", "--model", tmp_path / "model", "--user", user).stdout
        new = [item for item in items if (user, item) not in pairs]
        assert new and all(item.replace("\x1b", "\\x1b") in shown for item in new) and "\x1b" not in shown


def test_a_changed_file_is_refused(model: Path, data: Interactions) -> None:
    users = model / "model" / "users.parquet"
    users.write_bytes(users.read_bytes() + b"\0")
    assert "users.parquet was changed" in refusal(2, "recommend", "--model", model, "--user", str(data.users.ids[0]))
