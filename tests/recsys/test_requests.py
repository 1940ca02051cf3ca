"""Deletion requests from specifications: sizes, strata, determinism, and errors one can read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recsys.data import Interactions, Split, ratio, synthetic
from recsys.errors import UnknownIds
from recsys.evaluate import terciles
from recsys.requests import drawn, requests
from unlearn.forget import ForgetSet


@pytest.fixture(scope="module")
def data() -> Interactions:
    return synthetic(120, 60, 1_500, seed=1)


@pytest.fixture(scope="module")
def split() -> Split:
    return ratio(synthetic(120, 60, 1_500, seed=1))


def test_sizes(data: Interactions) -> None:
    (random,) = requests("random:0.05", data, seed=0)
    assert random.counts()["interactions"] == round(0.05 * len(data))
    assert len(data.without(random)) == len(data) - round(0.05 * len(data))
    assert requests("random:1e-6", data, seed=0)[0].counts()["interactions"] == 1  # the least there is
    assert requests("users:20", data, seed=0)[0].counts()["users"] == 20
    assert requests("items:5", data, seed=0)[0].counts()["items"] == 5
    user = data.users.take([4])[0]
    assert requests(f"user:{user}", data, seed=0) == [ForgetSet(users=(user,))]


def test_single_users_come_from_every_tercile(data: Interactions) -> None:
    drawn = requests("one-user:12", data, seed=0)
    assert all(request.counts()["users"] == 1 for request in drawn)
    rows = data.users.rows([request.users[0] for request in drawn])
    assert len(set(rows.tolist())) == 12
    assert np.bincount(terciles(data.degrees()[0])[rows]).tolist() == [4, 4, 4]


@pytest.mark.parametrize("text", ["random:0.05", "users:20", "one-user:6", "items:5", "ties:9"])
def test_draws_follow_the_seed_and_nothing_else(data: Interactions, text: str) -> None:
    assert requests(text, data, seed=3) == requests(text, data, seed=3)
    assert requests(text, data, seed=3) != requests(text, data, seed=4)


def test_int_ids_are_read_as_ints() -> None:
    from tests.recsys.conftest import tiny_interactions

    data = tiny_interactions()
    assert requests("user:u03", data, seed=0)[0].users == ("u03",)
    with pytest.raises(UnknownIds, match="nobody"):
        requests("user:nobody", data, seed=0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "users",
        "users:",
        "users:-1",
        "users:x",
        "random:1.5",
        "random:x",
        "all:3",
        "corrupted:1",
        "popular-items:0",
        "users:" + "9" * 5_000,
    ],
)
def test_unreadable_specifications(split: Split, text: str) -> None:
    with pytest.raises(ValueError, match="`delete` must") as caught:
        drawn(text, split, seed=0)
    assert repr(text) in str(caught.value)


def test_ties_go_in_both_directions(data: Interactions) -> None:
    (asked,) = requests("ties:7", data, seed=0)
    assert asked.counts() == {"users": 0, "items": 0, "interactions": 0, "ties": 14, "records": 0}
    assert all((b, a) in asked.ties for a, b in asked.ties)
    assert data.resolve(asked) == asked


def test_more_than_there_is(data: Interactions) -> None:
    with pytest.raises(ValueError, match=r"asks for 5000 ties \(got \d+ pairs of tied users\)"):
        requests("ties:5000", data, seed=0)
    with pytest.raises(ValueError, match=r"asks for 5000 users \(got 1\d\d with interactions\)"):
        requests("users:5000", data, seed=0)


def test_the_most_popular_items(data: Interactions) -> None:
    (request,) = requests("popular-items:5", data, seed=0)
    counts = data.frame().item.value_counts()
    chosen = counts[list(request.items)]
    assert len(chosen) == 5
    assert chosen.min() >= counts.drop(chosen.index).max()
    assert requests("popular-items:5", data, seed=1) == [request]


def test_false_interactions_are_new_and_exactly_what_goes(split: Split) -> None:
    clean = split.refit()
    data, (request,) = drawn("corrupted:0.2", split, seed=0)
    false = set(request.interactions)
    assert len(data) - len(clean) == len(false) == round(0.2 * len(clean))
    assert request.counts() == {"users": 0, "items": 0, "interactions": len(false), "ties": 0, "records": 0}
    for part in (clean, split.test):
        assert not false & set(part.frame()[["user", "item"]].itertuples(index=False, name=None))
    assert data.without(request).digest() == clean.digest()
    users, items = (len(set(side)) for side in zip(*false, strict=True))
    assert users > 60 and items > 30  # spread over everybody, not over the active or the popular
    assert np.corrcoef(clean.degrees()[1], data.degrees()[1] - clean.degrees()[1])[0, 1] < 0.3


def test_false_interactions_are_the_same_for_every_seed(split: Split) -> None:
    data, request = drawn("corrupted:0.1", split, seed=3)
    again, same = drawn("corrupted:0.1", split, seed=4)
    assert (data.digest(), request) == (again.digest(), same)
    with pytest.raises(ValueError, match=r"must be given to `drawn`.*\(got 'corrupted:0.1'\)"):
        requests("corrupted:0.1", data, seed=0)


def test_false_interactions_have_the_weights_and_times_of_true_ones(split: Split) -> None:
    parts = [
        replace(part, weight=np.full(len(part), 1.0 + number, np.float32), time=np.arange(len(part)) + 1000.0 * number)
        for number, part in enumerate((split.train, split.validation, split.test))
    ]
    clean = Split(*parts).refit()
    data, (request,) = drawn("corrupted:0.2", Split(*parts), seed=0)
    at = data.positions(request)
    assert clean.weight is not None and clean.time is not None and data.weight is not None and data.time is not None
    assert set(data.weight[at].tolist()) == {1.0, 2.0}
    assert set(data.time[at].tolist()) <= set(clean.time.tolist())
    assert data.without(request).digest() == clean.digest()


def test_other_specifications_leave_the_data_as_they_are(split: Split) -> None:
    data, asked = drawn("users:3", split, seed=5)
    assert data.digest() == split.refit().digest()
    assert asked == requests("users:3", data, seed=5)


def test_false_interactions_need_room() -> None:
    pairs = [(user, item) for user in range(8) for item in range(8) if (user + item) % 8]
    full = ratio(Interactions.from_frame(pd.DataFrame(pairs, columns=["user", "item"])))
    with pytest.raises(ValueError, match=r"asks for \d+ false interactions \(got room for 4\)"):
        drawn("corrupted:0.5", full, seed=0)
    data, _ = drawn("corrupted:0.1", full, seed=0)
    assert len(data) == round(1.1 * len(full.refit()))
