"""Deletion, selection and union against plain Python sets."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import Interactions, Vocabulary, synthetic
from recsys.errors import InvalidInteractions, UnknownIds
from unlearn.forget import ForgetSet

USERS = [f"u{k}" for k in range(6)]
ITEMS = list(range(10, 17))
pairs = st.sets(st.tuples(st.sampled_from(USERS), st.sampled_from(ITEMS)), min_size=1)
ties = st.sets(st.tuples(st.sampled_from(USERS), st.sampled_from(USERS)).filter(lambda pair: pair[0] != pair[1]))
forgets = st.builds(
    ForgetSet,
    users=st.sets(st.sampled_from([*USERS, "nobody"]), max_size=3),
    items=st.sets(st.sampled_from([*ITEMS, 99]), max_size=2),
    interactions=st.sets(st.tuples(st.sampled_from([*USERS, "nobody"]), st.sampled_from([*ITEMS, 99])), max_size=8),
    ties=st.sets(st.tuples(st.sampled_from([*USERS, "nobody"]), st.sampled_from([*USERS, "nobody"])), max_size=6),
)


def build(chosen, tied=None):
    """Weight and time are functions of the pair, so that a row that moved without them shows."""
    frame = pd.DataFrame(sorted(chosen, key=lambda pair: (pair[1], pair[0])), columns=["user", "item"])
    frame["weight"] = [weight(*pair) for pair in zip(frame.user, frame.item, strict=True)]
    frame["time"] = 2 * frame["weight"]
    return Interactions.from_frame(
        frame,
        weight="weight",
        time="time",
        ties=None if tied is None else pd.DataFrame(sorted(tied), columns=["a", "b"]).astype(object),
        users=Vocabulary(USERS),
        items=Vocabulary(ITEMS),
    )


def weight(user, item):
    return 100 * int(user[1:]) + item


def contents(data):
    """The interactions as a set, after checking that the arrays are canonical."""
    frame = data.frame()
    assert (frame.weight == [weight(*pair) for pair in zip(frame.user, frame.item, strict=True)]).all()
    assert (frame.time == 2 * frame.weight).all()
    assert data.indptr[0] == 0
    keys = data.user_rows() * data.n_items + data.item_rows()
    assert (np.diff(keys) > 0).all()
    assert [d.tolist() for d in data.degrees()] == [
        np.bincount(data.user_rows(), minlength=data.n_users).tolist(),
        np.bincount(data.item_rows(), minlength=data.n_items).tolist(),
    ]
    return set(zip(frame.user, frame.item, strict=True))


def tied(data):
    assert data.ties.tolist() == sorted(data.ties.tolist())
    return {tuple(data.users.take(pair)) for pair in data.ties.tolist()}


@settings(max_examples=150)
@given(pairs, ties, forgets)
def test_without_equals_sets(chosen, friends, forget):
    data = build(chosen, friends)
    remaining = data.without(forget)
    expected = {
        (user, item)
        for user, item in chosen
        if user not in forget.users and item not in forget.items and (user, item) not in forget.interactions
    }
    assert contents(remaining) == expected
    assert tied(remaining) == {
        (a, b) for a, b in friends if a not in forget.users and b not in forget.users and (a, b) not in forget.ties
    }
    assert set(data.frame().loc[data.positions(forget), ["user", "item"]].itertuples(index=False, name=None)) == (
        chosen - expected
    )
    assert remaining.users.take(range(6)) == [None if user in forget.users else user for user in USERS]
    assert remaining.items.take(range(7)) == [None if item in forget.items else item for item in ITEMS]
    assert contents(data) == chosen  # never changes what it was given
    assert tied(data) == friends
    assert remaining.without(forget).digest() == remaining.digest()


@settings(max_examples=100)
@given(pairs, ties, forgets)
def test_resolve_keeps_what_exists(chosen, friends, forget):
    data = build(chosen, friends)
    present = ForgetSet(
        users=[user for user in forget.users if user in USERS],
        items=[item for item in forget.items if item in ITEMS],
        interactions=[pair for pair in forget.interactions if pair in chosen],
        ties=[pair for pair in forget.ties if pair in friends],
    )
    assert data.resolve(forget, unknown="skip") == present
    if present == forget:
        assert data.resolve(forget) is forget
    else:
        with pytest.raises(UnknownIds):
            data.resolve(forget)
    # What was forgotten is unknown from then on.
    again = data.without(forget).resolve(forget, unknown="skip")
    assert not again


@settings(max_examples=60)
@given(pairs, st.data())
def test_take_and_merge_are_inverse(chosen, draw):
    data = build(chosen)
    kept = np.array(draw.draw(st.lists(st.booleans(), min_size=len(data), max_size=len(data))))
    one, other = data.take(np.flatnonzero(kept)), data.take(np.flatnonzero(~kept))
    assert contents(one) | contents(other) == chosen
    assert not contents(one) & contents(other)
    assert one.merge(other).digest() == other.merge(one).digest() == data.digest()


@settings(max_examples=60)
@given(pairs)
def test_contains_equals_the_dense_matrix(chosen):
    data = build(chosen)
    dense = data.csr().toarray()
    assert dense.dtype == np.float32
    rows, columns = np.meshgrid(np.arange(-1, 7), np.arange(-1, 8), indexing="ij")
    padded = np.zeros((8, 9), dtype=bool)
    padded[1:7, 1:8] = dense > 0
    assert (data.contains(rows.ravel(), columns.ravel()) == padded.ravel()).all()


def test_everything_unknown_is_listed_at_once():
    data = build({("u0", 10), ("u1", 11)}, {("u0", "u1")}).without(ForgetSet(users=("u1",)))
    forget = ForgetSet(
        users=("u0", "u1", "x"), items=(10, 98), interactions=(("u0", 11),), ties=(("u1", "u0"),), records=(4,)
    )
    with pytest.raises(UnknownIds) as caught:
        data.resolve(forget)
    lines = str(caught.value).splitlines()
    assert [line.strip(" -") for line in lines[1:-1]] == [
        "2 of 3 users: 'u1', 'x'",
        "1 of 2 items: 98",
        "1 of 1 interactions: ('u0', 11)",
        "1 of 1 ties: ('u1', 'u0')",
        "1 of 1 records: 4 (a recommender has users, items, interactions and ties only)",
    ]
    assert 'unknown="skip"' in lines[-1]


def test_ties_are_directed():
    data = build({("u0", 10)}, {("u0", "u1"), ("u1", "u0")})
    assert tied(data.without(ForgetSet(ties=(("u0", "u1"),)))) == {("u1", "u0")}


def test_a_tie_with_nobody_is_no_tie_of_others():
    """Pairs are found by u n + v, where a row of -1 would make (u, -1) the pair (u - 1, n - 1)."""
    data = build({("u0", 10)}, {("u0", "u5"), ("u2", "u1")})
    for unknown in (("u1", "nobody"), ("nobody", "u5")):
        assert tied(data.without(ForgetSet(ties=(unknown,)))) == {("u0", "u5"), ("u2", "u1")}
        with pytest.raises(UnknownIds, match="1 of 1 ties"):
            data.resolve(ForgetSet(ties=(unknown,)))


def test_merged_ties_are_those_of_either_part():
    data = build({("u0", 10), ("u1", 11)}, {("u0", "u1"), ("u2", "u3"), ("u4", "u0")})
    one = data.take(np.array([0])).without(ForgetSet(ties=(("u2", "u3"),)))
    other = data.take(np.array([1])).without(ForgetSet(ties=(("u0", "u1"),)))
    assert one.merge(other).digest() == other.merge(one).digest() == data.digest()
    assert one.merge(replace(other, ties=None)).ties.tolist() == one.ties.tolist()


def test_merge_names_every_obstacle():
    data = build({("u0", 10), ("u1", 11)})
    with pytest.raises(InvalidInteractions, match="disjoint"):
        data.merge(data)
    bare = Interactions.from_frame(pd.DataFrame({"user": ["u0"], "item": [3]}))
    with pytest.raises(InvalidInteractions) as caught:
        data.merge(bare)
    assert [name in str(caught.value) for name in ("`users`", "`items`", "`weight`", "`time`")] == [True] * 4


def test_digest_depends_on_everything():
    data = build({("u0", 10), ("u1", 11)}, {("u0", "u1")})
    others = [
        data.take(np.array([0])),
        data.without(ForgetSet(users=("u5",))),
        data.without(ForgetSet(ties=(("u0", "u1"),))),
        build({("u0", 10), ("u1", 11)}),
        build({("u0", 10), ("u1", 12)}, {("u0", "u1")}),
        Interactions(data.users, data.items, data.indptr, data.indices, data.weight + 1, data.time, data.ties),
        Interactions(data.users, data.items, data.indptr, data.indices, data.weight, data.time + 1, data.ties),
    ]
    assert len({data.digest(), *(other.digest() for other in others)}) == 8


def test_arrays_of_the_wrong_shape_are_refused():
    users, items = Vocabulary(["a"]), Vocabulary([1])
    with pytest.raises(InvalidInteractions) as caught:
        Interactions(users, items, np.array([0]), np.array([0]), np.zeros(2, np.float32), None, np.zeros((1, 3), int))
    assert [name in str(caught.value) for name in ("`indptr`", "`weight`", "`ties`")] == [True] * 3
    with pytest.raises(InvalidInteractions, match="end at the 1"):
        Interactions(users, items, np.array([0, 2]), np.array([0]))


def test_deletion_takes_a_fraction_of_reading_what_is_left():
    data = synthetic(1_900, 4_500, 42_000)
    frame = data.frame()
    some = frame.iloc[:: len(frame) // 40]
    forget = ForgetSet(users=frame.user[:1], items=frame.item[:1], interactions=zip(some.user, some.item, strict=True))
    left = data.without(forget).frame()

    def seconds(work):
        found = []
        for _ in range(10):
            start = time.process_time()
            work()
            found.append(time.process_time() - start)
        return min(found)

    assert seconds(lambda: data.without(forget)) < 0.2 * seconds(lambda: Interactions.from_frame(left))


def test_a_tie_is_forgotten_in_the_directions_that_there_are():
    users = pd.DataFrame({"user": ["a", "b", "c"], "item": [1, 1, 1]})
    ties = [("a", "b"), ("b", "a"), ("c", "a")]
    units = Interactions.from_frame(users, ties=pd.DataFrame(ties)).units("tie")
    assert len(units) == 2
    assert sorted(units.forget_set(np.arange(2)).ties) == ties
