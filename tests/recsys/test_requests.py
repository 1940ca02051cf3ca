"""Deletion requests from specifications: sizes, strata, determinism, and errors one can read."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data import Interactions, synthetic
from recsys.errors import UnknownIds
from recsys.evaluate import terciles
from recsys.requests import requests
from unlearn.forget import ForgetSet


@pytest.fixture(scope="module")
def data() -> Interactions:
    return synthetic(120, 60, 1_500, seed=1)


def test_sizes(data: Interactions) -> None:
    (random,) = requests("random:0.05", data, seed=0)
    assert random.counts()["interactions"] == round(0.05 * len(data))
    assert len(data.without(random)) == len(data) - round(0.05 * len(data))
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


@pytest.mark.parametrize("text", ["random:0.05", "users:20", "one-user:6", "items:5"])
def test_draws_follow_the_seed_and_nothing_else(data: Interactions, text: str) -> None:
    assert requests(text, data, seed=3) == requests(text, data, seed=3)
    assert requests(text, data, seed=3) != requests(text, data, seed=4)


def test_int_ids_are_read_as_ints() -> None:
    from tests.recsys.conftest import tiny_interactions

    data = tiny_interactions()
    assert requests("user:u03", data, seed=0)[0].users == ("u03",)
    with pytest.raises(UnknownIds, match="nobody"):
        requests("user:nobody", data, seed=0)


@pytest.mark.parametrize("text", ["", "users", "users:", "users:-1", "users:x", "random:1.5", "random:x", "all:3"])
def test_unreadable_specifications(data: Interactions, text: str) -> None:
    with pytest.raises(ValueError, match="`delete` must") as caught:
        requests(text, data, seed=0)
    assert repr(text) in str(caught.value)


def test_more_than_there_is(data: Interactions) -> None:
    with pytest.raises(ValueError, match=r"asks for 5000 users \(got 1\d\d with interactions\)"):
        requests("users:5000", data, seed=0)
