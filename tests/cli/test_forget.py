"""`unlearn forget`: what is gone, what stays, and what is refused."""

from __future__ import annotations

from pathlib import Path

from recsys.data import Interactions, read
from tests.cli.run import answer, digest, lists, naming, refusal


def test_a_forgotten_user_is_gone_and_the_others_are_served(model: Path, data: Interactions) -> None:
    gone, stays = str(data.users.ids[7]), str(data.users.ids[8])
    before = lists(model, stays)
    said = answer("forget", "--model", model, "--user", gone)
    assert said.keys() == {
        "out", "method", "forgotten", "interactions_removed", "rows_changed", "residual_before", "residual_after",
        "seconds", "fallback", "caveat",
    }  # fmt: skip
    assert (said["method"], said["forgotten"]["users"], said["fallback"]) == ("reconverge", 1, False)
    assert said["interactions_removed"] == int(data.degrees()[0][7])
    assert 0 < said["residual_after"] < said["residual_before"]
    assert gone in refusal(3, "recommend", "--model", model, "--user", gone)
    after = lists(model, stays)
    assert len(after[stays]) == 5
    assert after != before  # scores follow the data
    popular = answer("recommend", "--model", model, "--user", gone, "--unknown", "popular")
    assert len(popular["recommendations"][0]["items"]) > 0
    assert naming(model.parent, [gone]) == set()  # the old state is not kept anywhere


def test_items_and_single_interactions_into_another_folder(model: Path, data: Interactions, tmp_path: Path) -> None:
    before = digest(model)
    user, item = str(data.users.ids[0]), int(data.items.ids[3])
    pair = data.frame().query("user == @user and item != @item").iloc[0]
    out = tmp_path / "after"
    said = answer(
        "forget", "--model", model, "--out", out, "--item", str(item), "--interaction", f"{pair['user']},{pair['item']}"
    )
    assert (said["forgotten"]["items"], said["forgotten"]["interactions"]) == (1, 1)
    assert digest(model) == before
    left = read(out / "interactions.parquet")
    assert isinstance(left, Interactions)
    assert len(left) == len(data) - said["interactions_removed"]
    assert item not in set(left.frame().item)
    assert left.frame().query("user == @pair.user and item == @pair.item").empty
    assert user in left.users  # one interaction of theirs went, not they
    # What was deleted as an interaction may be recommended again; a deleted item may not.
    everything = answer("recommend", "--model", out, "--user", user, "--k", "40")["recommendations"][0]["items"]
    shown = {entry["item"] for entry in everything}
    assert int(pair["item"]) in shown
    assert item not in shown


def test_unknown_ids_change_nothing_unless_skipped(model: Path, data: Interactions) -> None:
    known, before = str(data.users.ids[4]), digest(model)
    asked = ("forget", "--model", model, "--user", known, "--user", "nobody", "--item", "7", "--interaction", "x,101")
    message = refusal(3, *asked)
    assert all(name in message for name in ("'nobody'", "7", "('x', 101)"))
    assert digest(model) == before
    assert answer(*asked, "--unknown", "skip")["forgotten"]["users"] == 1
    assert digest(model) != before
    refusal(3, *asked[:5])  # a second time, it is unknown


def test_a_request_that_names_nothing_is_refused(model: Path) -> None:
    before = digest(model)
    assert "nothing was named" in refusal(2, "forget", "--model", model)
    assert digest(model) == before


def test_a_failed_verification_changes_nothing(model: Path, data: Interactions) -> None:
    before, pair = digest(model), data.frame().iloc[10]
    asked = ("forget", "--model", model, "--interaction", f"{pair['user']},{pair['item']}")
    # A sign step moves every coordinate equally, which is far too much for a single interaction.
    assert "nothing was changed" in refusal(1, *asked, "--method", "iau", "--on-failure", "raise")
    assert "nothing was saved" in refusal(1, *asked, "--method", "no_op", "--on-failure", "keep")
    # An ensemble of shards would serve in the model's place, and that is another kind of model.
    assert "serves with a ShardedRecommender" in refusal(2, *asked, "--method", "sharding:shards=2")
    assert "`native` works on a SelfUnlearning" in refusal(2, *asked, "--method", "native")
    assert digest(model) == before


def test_what_waits_for_a_retrain_is_not_lost(config: Path, model: Path, data: Interactions, tmp_path: Path) -> None:
    known, new = str(data.users.ids[4]), tmp_path / "new.csv"
    new.write_text(f"user,item\nnewcomer,{data.items.ids[0]}\n")
    assert answer("ingest", "--data", new, "--config", config)["new_users"] == 1
    before = digest(model)
    message = refusal(2, "forget", "--model", model, "--user", known)
    assert "interactions-arrived.parquet" in message and "--out" in message
    assert digest(model) == before
    out = tmp_path / "after"
    assert answer("forget", "--model", model, "--out", out, "--user", known)["forgotten"]["users"] == 1
    assert digest(model) == before and naming(out, [known]) == set()
