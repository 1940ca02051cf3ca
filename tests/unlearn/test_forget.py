"""Forget sets: canonical, comparable, safe to log."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest

from unlearn.forget import ForgetSet


def test_equal_requests_are_equal_however_they_were_written() -> None:
    one = ForgetSet(users=("b", 3, "a", "b"), interactions=(("u", 2), ("a", 1)), records=(5, 1))
    other = ForgetSet(
        users=["a", np.str_("b"), np.int64(3)], interactions={("a", 1), ("u", np.int32(2))}, records=np.array([1, 5, 5])
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest(b"key") == other.digest(b"key")
    assert one.users == (3, "a", "b")
    assert one.records == (1, 5)
    assert all(type(record) is int for record in other.records)


@pytest.mark.parametrize(
    "other",
    [
        ForgetSet(users=(1,)),
        ForgetSet(users=("2",)),
        ForgetSet(items=(2,)),
        ForgetSet(users=(2,), items=(2,)),
        ForgetSet(interactions=((2, 2),)),
        ForgetSet(ties=((2, 2),)),
        ForgetSet(records=(2,)),
        ForgetSet(),
    ],
    ids=repr,
)
def test_different_requests_have_different_digests(other: ForgetSet) -> None:
    assert other != ForgetSet(users=(2,))
    assert other.digest(b"key") != ForgetSet(users=(2,)).digest(b"key")


def test_pairs_keep_their_direction() -> None:
    assert ForgetSet(ties=((1, 2),)) != ForgetSet(ties=((2, 1),))


def test_the_digest_is_keyed() -> None:
    forget = ForgetSet(users=("alice",))
    text = '{"users":["alice"],"items":[],"interactions":[],"ties":[],"records":[]}'
    assert forget.digest(b"k") == hmac.new(b"k", text.encode(), hashlib.sha256).hexdigest()
    assert forget.digest(b"k") != forget.digest(b"l")
    with pytest.raises(ValueError, match="`key` must not be empty"):
        forget.digest(b"")


def test_it_merges_counts_and_knows_when_it_is_empty() -> None:
    merged = ForgetSet(users=(1, 2), records=(0,)) | ForgetSet(users=(2, 3), ties=((1, 2),))
    assert merged == ForgetSet(users=(1, 2, 3), ties=((1, 2),), records=(0,))
    assert merged.counts() == {"users": 3, "items": 0, "interactions": 0, "ties": 1, "records": 1}
    assert merged
    assert not ForgetSet()
    assert merged | ForgetSet() == merged


def test_its_repr_names_nobody() -> None:
    forget = ForgetSet(users=("alice",), interactions=(("bob", "item-7"),))
    assert repr(forget) == "ForgetSet(1 users, 1 interactions)"


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ForgetSet().users = (1,)


def test_all_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        ForgetSet(users=(1.5,), items=(None,), interactions=((1, 2, 3), "ab"), ties=(7,), records=(-1, "x"))
    message = str(caught.value)
    for part in ("float 1.5", "NoneType None", "(1, 2, 3)", "'ab'", "got 7", "got -1", "got 'x'"):
        assert part in message


def test_a_mask_is_no_collection_of_ids() -> None:
    mask = np.array([False, False, True])
    with pytest.raises(ValueError, match=r"(?s)`users` must hold ints or strs \(got bool.*at least 0 \(got True\)"):
        ForgetSet(users=mask, records=mask)
    with pytest.raises(ValueError, match=r"pairs of ints or strs \(got \(1, True\)\)"):
        ForgetSet(ties=((1, True),))


def test_a_string_is_no_collection_of_its_letters() -> None:
    with pytest.raises(ValueError, match=r"`users` must be a collection for `ForgetSet` \(got str\)"):
        ForgetSet(users="ab")


def test_an_id_alone_and_a_collection_of_collections_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"(?s)`users` must be a collec.*\(got bytes\).*`items` must be.*\(got int\)"):
        ForgetSet(users=b"ab", items=5)
    with pytest.raises(ValueError, match=r"(?s)got list \[7\]\).*got ndarray array\(\[1, 2\]\)\).*got \(\[1\], 2\)\)"):
        ForgetSet(users=([7], [7]), items=np.array([[1, 2]]), ties=(([1], 2),))
