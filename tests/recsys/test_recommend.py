"""Serving in external ids: order, exclusion, suppression, unknown users, and every bad argument at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.data import Interactions, Vocabulary
from recsys.errors import UnknownIds
from recsys.recommend import Ranker
from unlearn.forget import ForgetSet, Id

USERS, ITEMS = Vocabulary(["ann", "bob", "cyd"]), Vocabulary(["p", "q", "r", "s"])
SCORES = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 9.0]])
SEEN = Interactions.from_frame(
    pd.DataFrame({"user": ["ann", "ann", "bob", "cyd"], "item": ["p", "q", "q", "s"]}), users=USERS, items=ITEMS
)


@pytest.fixture
def ranker() -> Ranker:
    return Ranker(SCORES, torch.eye(4), USERS, ITEMS, popularity=torch.tensor([1.0, 2.0, 0.0, 1.0]))


def test_one_user_gives_one_list_and_many_give_a_table(ranker: Ranker) -> None:
    one = ranker.recommend("ann", k=2)
    assert (one.users, one.ids.tolist(), one.scores.tolist()) == (("ann",), ["p", "q"], [4.0, 3.0])
    many = ranker.recommend(["bob", "ann"], k=2)
    assert many.ids.tolist() == [["q", "r"], ["p", "q"]]
    assert many.users == ("bob", "ann")
    assert ranker.recommend([], k=2).ids.shape == (0, 2)
    assert ranker.recommend("ann", k=np.int64(2)).ids.tolist() == ["p", "q"]


def test_equal_scores_come_in_order_of_rows(ranker: Ranker) -> None:
    assert ranker.recommend("cyd", k=3).ids.tolist() == ["s", "p", "q"]
    assert ranker.recommend("bob", k=1).ids.tolist() == ["q"]


def test_excluded_and_suppressed_items_stay_out_and_short_lists_are_padded(ranker: Ranker) -> None:
    found = ranker.recommend("ann", k=6, exclude=SEEN, suppress=["r"])
    assert found.ids.tolist() == ["s", None, None, None, None, None]
    assert found.scores[0] == 1.0
    assert (found.scores[1:] == -np.inf).all()
    nothing = ranker.recommend("ann", k=1, exclude=SEEN, suppress=["r", "s"])
    assert nothing.ids.tolist() == [None]


def test_exclusion_goes_by_id_where_rows_differ(ranker: Ranker) -> None:
    other = Interactions.from_frame(
        pd.DataFrame({"user": ["zoe", "cyd", "bob"], "item": ["p", "s", "x"]}),
        users=Vocabulary(["zoe", "cyd", "bob"]),
        items=Vocabulary(["x", "s", "p"]),
    )
    found = ranker.recommend(["ann", "bob", "cyd"], k=1, exclude=other)
    assert found.ids.tolist() == [["p"], ["q"], ["p"]]


def test_one_answer_looks_up_what_its_user_saw_and_not_the_whole_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    look_up = Vocabulary.rows

    def counting(self: Vocabulary, ids: Iterable[Id], *, unknown: Literal["raise", "mark"] = "raise") -> Any:
        asked.extend(listed := list(ids))
        return look_up(self, listed, unknown=unknown)

    items = Vocabulary(f"i{k}" for k in range(1_000))
    ranker = Ranker(torch.eye(3, 1_000), torch.eye(1_000), USERS, items)
    seen = Interactions.from_frame(pd.DataFrame({"user": ["ann", "bob"], "item": ["i0", "i1"]}), items=items)
    monkeypatch.setattr(Vocabulary, "rows", counting)
    assert ranker.recommend("ann", k=1, exclude=seen).ids.tolist() == ["i1"]
    assert set(asked) == {"ann", "i0"}


def test_ids_of_another_kind_are_no_exclusion() -> None:
    names = Vocabulary(["1", "2"])
    ranker = Ranker(torch.eye(2), torch.eye(2), names, names)
    seen = Interactions.from_frame(pd.DataFrame({"user": [1, 2], "item": [1, 2]}))
    with pytest.raises(ValueError, match=r"users of kind str, .*\(got int\).*\n.*items of kind str"):
        ranker.recommend("1", k=1, exclude=seen)
    assert ranker.recommend("1", k=1, exclude=seen.take(np.empty(0, np.int64))).ids.tolist() == ["1"]
    same = Interactions.from_frame(seen.frame().astype(str))
    assert ranker.recommend("1", k=1, exclude=same).ids.tolist() == ["2"]


def test_unknown_users(ranker: Ranker) -> None:
    with pytest.raises(UnknownIds, match="1 of 2 are not: 'eve'"):
        ranker.recommend(["ann", "eve"])
    skipped = ranker.recommend(["eve", "ann"], k=1, unknown="skip")
    assert (skipped.users, skipped.ids.tolist()) == (("ann",), [["p"]])
    assert ranker.recommend("eve", k=1, unknown="skip").ids.tolist() == []
    popular = ranker.recommend(["ann", "eve"], k=3, unknown="popular", suppress=["p"])
    assert popular.ids.tolist() == [["q", "r", "s"], ["q", "s", "r"]]
    assert popular.popular.tolist() == [False, True]


def test_users_unknown_to_the_model_are_excluded_by_the_data(ranker: Ranker) -> None:
    data = SEEN.frame().assign(user=lambda f: f["user"].replace("bob", "eve"))
    found = ranker.recommend("eve", k=1, unknown="popular", exclude=Interactions.from_frame(data))
    assert found.ids.tolist() == ["p"]  # "q" is the most popular, but she has it


def test_the_forgotten_are_unknown_and_never_recommended() -> None:
    left = SEEN.without(ForgetSet(users=("ann",), items=("s",)))
    ranker = Ranker(SCORES, torch.eye(4), left.users, left.items)
    assert ranker.recommend("cyd", k=4, exclude=left).ids.tolist() == ["p", "q", "r", None]
    with pytest.raises(UnknownIds, match="ann"):
        ranker.recommend("ann")


def test_every_bad_argument_at_once() -> None:
    ranker = Ranker(SCORES, torch.eye(4), USERS, ITEMS)
    with pytest.raises(ValueError) as caught:
        ranker.recommend(["eve"], k=-1, exclude="all", suppress=["x"], unknown="guess")
    text = str(caught.value)
    assert "`k` must be a positive integer for `recommend` (got -1)" in text
    for part in ("(got 'guess')", "(got str)", "users must be known (1 of 1", "items of `suppress` must be known"):
        assert part in text
    with pytest.raises(ValueError, match=r"`suppress` must be a collection of ids .*\(got the str 'pq'\)"):
        ranker.recommend("ann", suppress="pq")
    with pytest.raises(ValueError, match="without"):
        ranker.recommend("eve", unknown="popular")
    with pytest.raises(ValueError, match=r"\[3, d\].*\n.*one width.*\n.*`popularity`"):
        Ranker(SCORES[:2], torch.eye(3)[[0, 1, 2, 0]], USERS, ITEMS, popularity=torch.ones(3))


def test_rank_is_a_frame_without_padding(ranker: Ranker) -> None:
    frame = ranker.rank(["cyd", "ann"], k=5)
    assert frame.columns.tolist() == ["user_id", "item_id", "score", "rank"]
    assert frame["rank"].tolist() == [1, 2, 3, 4] * 2
    assert frame["item_id"].tolist()[:2] == ["s", "p"]
