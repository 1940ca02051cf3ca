"""Suppression: what a list covers whatever the model, what it betrays, and that the model behind it stays as it is."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.data import Interactions, Vocabulary
from recsys.errors import UnknownIds
from recsys.problem import RecommenderProblem
from recsys.recommend import Ranker
from recsys.retrieval import SuppressedRanker, SuppressionList
from recsys.train import TrainingOptions
from tests.recsys.conftest import tiny_interactions
from unlearn.forget import ForgetSet

KEY, OTHER = bytes(range(32)), bytes(32)
USERS, ITEMS = Vocabulary(["ann", "bob", "cyd"]), Vocabulary(["p", "q", "r", "s"])
SCORES = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 3.0, 2.0, 0.0], [0.0, 0.0, 0.0, 9.0]])
REQUEST = ForgetSet(users=("cyd",), items=("p",), interactions=(("bob", "q"),))


@pytest.fixture
def ranker() -> Ranker:
    return Ranker(SCORES.clone(), torch.eye(4), USERS, ITEMS, popularity=torch.tensor([9, 5, 1, 7]))


def test_each_kind_of_entry_holds_back_what_it_names_and_nothing_else(ranker: Ranker) -> None:
    def lists(forget: ForgetSet) -> list[list[object]]:
        served = SuppressedRanker(ranker, SuppressionList.of(forget, key=KEY))
        return served.recommend(["ann", "bob"], k=4).ids.tolist()

    assert lists(ForgetSet()) == [["p", "q", "r", "s"], ["q", "r", "p", "s"]]
    assert lists(ForgetSet(items=("p",))) == [["q", "r", "s", None], ["q", "r", "s", None]]
    assert lists(ForgetSet(interactions=(("bob", "q"),))) == [["p", "q", "r", "s"], ["r", "p", "s", None]]
    assert lists(ForgetSet(users=("cyd",))) == lists(ForgetSet())


def test_a_suppressed_user_is_unknown_and_suppressed_items_are_not_popular(ranker: Ranker) -> None:
    served = SuppressedRanker(ranker, SuppressionList.of(REQUEST, key=KEY))
    with pytest.raises(UnknownIds, match="cyd"):
        served.recommend("cyd")
    assert ranker.recommend("cyd", k=1).ids.tolist() == ["s"]
    assert ranker.recommend("eve", k=2, unknown="popular").ids.tolist() == ["p", "s"]
    assert served.recommend("cyd", k=4, unknown="popular").ids.tolist() == ["s", "q", "r", None]


def test_it_adds_to_what_a_caller_suppresses_and_excludes(ranker: Ranker) -> None:
    served = SuppressedRanker(ranker, SuppressionList.of(REQUEST, key=KEY))
    seen = Interactions.from_frame(pd.DataFrame({"user": ["bob"], "item": ["r"]}), users=USERS, items=ITEMS)
    assert served.recommend("bob", k=4, suppress=["p"]).ids.tolist() == ["r", "s", None, None]
    assert served.recommend("bob", k=4, suppress=["p"], exclude=seen).ids.tolist() == ["s", None, None, None]


def test_a_model_still_holds_what_is_suppressed() -> None:
    data = tiny_interactions()
    model = RecommenderProblem.build(data, options=TrainingOptions(max_iterations=20), dim=8).fit()
    before = {name: value.clone() for name, value in model.params.items()}
    shown = model.ranker().recommend("u03", k=2)
    forget = ForgetSet(items=(shown.ids[0],), interactions=(("u03", shown.ids[1]),))
    served = SuppressedRanker(model.ranker(), SuppressionList.of(forget, key=KEY))
    found = served.recommend([*data.users.take(range(12))], k=15)
    assert shown.ids[0] not in found.ids
    assert shown.ids[1] not in found.ids[3] and shown.ids[1] in found.ids[4]
    # The stop-gap changes no parameter and no other score: the data is still in there.
    assert all(torch.equal(model.params[name], value) for name, value in before.items())
    (item,), (pair,) = data.items.rows([shown.ids[0]]), data.items.rows([shown.ids[1]])
    expected = model.ranker().scores(np.arange(12))
    expected[:, item] = expected[3, pair] = -torch.inf
    assert torch.equal(served.scores(np.arange(12)), expected)


def test_a_list_outlives_a_model_with_other_rows(ranker: Ranker) -> None:
    listed = SuppressionList.of(REQUEST, key=KEY)
    later = Ranker(SCORES.flip(1), torch.eye(4), USERS, Vocabulary(["s", "r", "q", "p"]))
    assert SuppressedRanker(later, listed).recommend("bob", k=4).ids.tolist() == ["r", "s", None, None]
    assert SuppressedRanker(replace(later, item_ids=Vocabulary([1, 2, 3, 4])), listed).recommend(
        "bob", k=4
    ).ids.tolist() == [3, 2, 4, 1]


def test_the_list_holds_keyed_digests_and_no_ids() -> None:
    listed = SuppressionList.of(REQUEST, key=KEY)
    text = listed.to_json()

    def digest(*parts: str) -> str:
        return hmac.new(KEY, json.dumps(parts).encode(), hashlib.sha256).hexdigest()

    expected = {digest("user", "cyd"), digest("item", "p"), digest("has pairs", "bob"), digest("pair", "bob", "q")}
    assert set(json.loads(text)["digests"]) == expected
    assert KEY.hex() not in text and repr(listed) == "SuppressionList(4 entries)"
    assert SuppressionList.of(REQUEST, key=OTHER).digests.isdisjoint(expected)
    # The id 5 is not the id "5".
    fives = SuppressionList.of(ForgetSet(items=(5,)), key=KEY)
    assert (fives.rows("item", Vocabulary([4, 5])).tolist(), fives.rows("item", Vocabulary(["4", "5"])).tolist()) == (
        [1],
        [],
    )


def test_a_stored_list_comes_back_under_its_key_and_unchanged_only() -> None:
    listed = SuppressionList.of(REQUEST, key=KEY)
    assert SuppressionList.from_json(listed.to_json(), key=KEY) == listed
    shorter = json.loads(listed.to_json())
    shorter["digests"].pop()
    for text, key in ((listed.to_json(), OTHER), (json.dumps(shorter), KEY), ("[]", KEY)):
        with pytest.raises(ValueError, match="under this `key`"):
            SuppressionList.from_json(text, key=key)


def test_lists_merge_under_one_key() -> None:
    one = SuppressionList.of(ForgetSet(items=("p",)), key=KEY)
    two = SuppressionList.of(ForgetSet(items=("q",), users=("ann",)), key=KEY)
    assert one | two == SuppressionList.of(ForgetSet(items=("p", "q"), users=("ann",)), key=KEY)
    with pytest.raises(ValueError, match="`key` must be the same"):
        _ = one | SuppressionList.of(REQUEST, key=OTHER)


def test_what_cannot_be_suppressed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`ties` must be empty .*got 1(.|\n)*`records` must be empty .*got 2"):
        SuppressionList.of(ForgetSet(ties=(("ann", "bob"),), records=(1, 2)), key=KEY)
    with pytest.raises(ValueError, match="at least 16 bytes .*got 3"):
        SuppressionList(b"key")
