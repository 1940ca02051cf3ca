from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.data import (
    Interactions,
    Split,
    Vocabulary,
    given,
    leave_last_out,
    ratio,
    synthetic,
    temporal,
    temporal_user,
)
from recsys.errors import InvalidInteractions
from unlearn.forget import ForgetSet

SPLITS = {
    "given": lambda data: given(data, data.take(np.array([], dtype=int)), validation=0.3, seed=5),
    "ratio": lambda data: ratio(data, seed=5),
    "leave_last_out": leave_last_out,
    "temporal_user": temporal_user,
}


@pytest.fixture(scope="module")
def data():
    return synthetic(200, 120, 3_000, seed=1)


def pairs(part):
    frame = part.frame()
    return set(zip(frame.user, frame.item, strict=True))


@pytest.mark.parametrize("split", [*SPLITS.values(), temporal], ids=[*SPLITS, "temporal"])
def test_parts_are_disjoint_and_lose_nothing(data, split):
    result = split(data)
    parts = [pairs(part) for part in (result.train, result.validation, result.test)]
    assert set.union(*parts) == pairs(data)
    assert sum(map(len, parts)) == len(data)
    assert parts[1]
    assert all(part.users == data.users and part.items == data.items for part in (result.validation, result.test))
    assert result.refit().digest() == result.train.merge(result.validation).digest()
    assert pairs(result.refit()) == parts[0] | parts[1]


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_every_user_keeps_something_in_train(data, split):
    lonely = data.take(np.unique(np.concatenate([data.indptr[:-1], np.arange(300)])))
    result = split(lonely)
    assert (result.train.degrees()[0] >= 1).all()
    single = lonely.degrees()[0] == 1
    assert single.sum() > 100
    assert (result.train.degrees()[0][single] == 1).all()


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_one_user_less_leaves_everybody_elses_split(data, split):
    """With tombstones and after re-reading, where every later row has moved."""
    gone = data.users.take([3])[0]
    whole = split(data)
    frame = data.frame()
    reread = Interactions.from_frame(frame[frame.user != gone], time="time")
    for remaining in (split(data.without(ForgetSet(users=(gone,)))), split(reread)):
        for name in ("train", "validation", "test"):
            assert pairs(getattr(remaining, name)) == {p for p in pairs(getattr(whole, name)) if p[0] != gone}


def test_of_equal_histories_everybody_has_draws_of_their_own():
    """Of three interactions .6 are for the test and .3 for validation: rounded up for that share of the users."""
    n = 1000
    frame = pd.DataFrame([(user, item) for user in range(n) for item in range(3)], columns=["user", "item"])
    split = ratio(Interactions.from_frame(frame), validation=0.1, test=0.2, seed=2)
    tested, validated = (part.degrees()[0] for part in (split.test, split.validation))
    assert max(tested) == max(validated) == 1
    found = [(tested.mean(), 0.6), (validated.mean(), 0.3), ((tested * validated).mean(), 0.18)]
    found += [(taken, 0.2) for taken in split.test.degrees()[1] / n]
    for one, share in found:
        assert abs(one - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_shares_hold_and_seeds_differ(data):
    one, same, other = ratio(data, seed=5), ratio(data, seed=5), ratio(data, seed=6)
    # Sizes are rounded at random by user: 200 users, each off by less than one.
    spread = 5 * np.sqrt(data.n_users / 12)
    assert abs(len(one.test) - 0.2 * len(data)) < spread
    assert abs(len(one.validation) - 0.1 * len(data)) < spread
    assert one.test.digest() == same.test.digest()
    assert one.test.digest() != other.test.digest()
    degrees = data.degrees()[0]
    assert (np.abs(one.test.degrees()[0] - 0.2 * degrees) < 1).all()


def test_of_sizes_that_need_no_rounding_seeds_take_others():
    frame = pd.DataFrame([(user, item) for user in range(50) for item in range(10)], columns=["user", "item"])
    even = Interactions.from_frame(frame)
    nothing = even.take(np.arange(0))
    for split in (
        lambda seed: given(even, nothing, validation=0.5, seed=seed),
        lambda seed: ratio(even, validation=0.5, test=0.1, seed=seed),
    ):
        one, same, other = split(5), split(5), split(6)
        assert one.validation.degrees()[0].tolist() == other.validation.degrees()[0].tolist() == [5] * 50
        assert one.validation.digest() == same.validation.digest() != other.validation.digest()


def timed():
    """User a at times 0..9, b at 10..12, c once at 13; the order of items is not the order of times."""
    frame = pd.DataFrame({"user": list("aaaaaaaaaabbbc"), "time": np.arange(14.0)})
    frame["item"] = [(5 * k) % 14 for k in range(14)]
    return Interactions.from_frame(frame, time="time")


def test_leave_last_out_takes_the_last_two():
    split = leave_last_out(timed())
    assert sorted(split.test.time) == [9, 12]
    assert sorted(split.validation.time) == [8, 11]


def test_temporal_user_takes_the_latest_share():
    split = temporal_user(timed(), validation=0.1, test=0.2)
    assert sorted(split.test.time) == [8, 9, 12]
    assert sorted(split.validation.time) == [7]


def test_temporal_cuts_at_two_moments():
    split = temporal(timed(), validation=0.25, test=0.25)
    assert split.train.time.max() < split.validation.time.min()
    assert split.validation.time.max() < split.test.time.min()
    assert [len(part) for part in (split.train, split.validation, split.test)] == [7, 3, 4]


def test_equal_times_are_ordered_by_id_not_by_row():
    frame = pd.DataFrame({"user": ["a"] * 20, "item": [f"i{k}" for k in range(20)], "time": 1.0})
    straight = Interactions.from_frame(frame, time="time")
    turned = Interactions.from_frame(frame, time="time", items=Vocabulary(frame["item"].tolist()[::-1]))
    assert pairs(temporal_user(straight).test) == pairs(temporal_user(turned).test)


def test_forgetting_leaves_the_rest_of_the_split(data):
    split = ratio(data)
    user, item = data.frame().iloc[0][["user", "item"]]
    remaining = split.without(ForgetSet(users=(user,), items=(item,)))
    for name in ("train", "validation", "test"):
        expected = {p for p in pairs(getattr(split, name)) if p[0] != user and p[1] != item}
        assert pairs(getattr(remaining, name)) == expected


def test_what_cannot_be_split_is_refused(data):
    bare = Interactions.from_frame(data.frame()[["user", "item"]])
    for split in (leave_last_out, temporal_user, temporal):
        with pytest.raises(InvalidInteractions, match=f"times for `{split.__name__}`"):
            split(bare)
    days = pd.DataFrame({"user": 1, "item": range(10), "time": [1, 1, 1, 1, 2, 2, 3, 3, 3, 3]})
    for times, latest in ((days["time"], 4), (5, 10)):
        moments = Interactions.from_frame(days.assign(time=times), time="time")
        with pytest.raises(InvalidInteractions, match=rf"got 10, of which the latest moment has {latest}\)"):
            temporal(moments, validation=0.3, test=0.3)
    assert len(temporal(Interactions.from_frame(days, time="time"), validation=0.3, test=0.45).test) == 4
    with pytest.raises(InvalidInteractions, match="got 0, of which"):
        temporal(moments.take(np.empty(0, dtype=np.int64)))
    with pytest.raises(ValueError, match="`validation`") as caught:
        ratio(data, validation=0.0, test=1.0)
    assert "`test`" in str(caught.value)
    with pytest.raises(ValueError, match="leave something"):
        temporal(data, validation=0.5, test=0.5)
    with pytest.raises(InvalidInteractions, match="disjoint"):
        given(data, data)
    others = data.frame().assign(user=lambda frame: "other " + frame["user"])  # in the same rows
    with pytest.raises(InvalidInteractions, match="`test` must have the vocabularies"):
        given(data, Interactions.from_frame(others))
    bare = Interactions.from_frame(pd.DataFrame({"user": ["a"], "item": [1]}))
    with pytest.raises(InvalidInteractions, match="`test` must have the vocabularies"):
        Split(data, data.take(np.array([0])), bare)
