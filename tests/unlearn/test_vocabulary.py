from __future__ import annotations

import time

import numpy as np
import pytest

from recsys.data import Vocabulary
from unlearn.forget import UnknownIds
from unlearn.invalid import InvalidInput


@pytest.mark.parametrize("ids", [[3, 1, 2], ["b", "a", "c"]])
def test_rows_and_take_are_inverse(ids):
    vocabulary = Vocabulary(ids)
    assert len(vocabulary) == 3
    assert vocabulary.rows(ids).tolist() == [0, 1, 2]
    assert vocabulary.rows(ids[::-1]).tolist() == [2, 1, 0]
    assert vocabulary.take([2, 0]) == [ids[2], ids[0]]
    assert type(vocabulary.take([0])[0]) is type(ids[0])
    assert vocabulary == Vocabulary(ids)
    assert hash(vocabulary) == hash(Vocabulary(ids))
    assert vocabulary != Vocabulary(ids[::-1])


def test_ids_of_another_kind_are_unknown_not_converted():
    vocabulary = Vocabulary([1, 2])
    assert vocabulary.rows([1, "1", True, 2**70, 1.0, np.int32(2)], unknown="mark").tolist() == [0, -1, -1, -1, -1, 1]
    assert vocabulary.rows([1, 2**70, 2], unknown="mark").tolist() == [0, -1, 1]
    assert 1 in vocabulary
    assert True not in vocabulary
    assert "1" not in vocabulary
    assert Vocabulary(["1"]) != Vocabulary([1])
    assert Vocabulary(["1"]).keys[0] != Vocabulary([1]).keys[0]


def test_text_becomes_an_id_of_the_kind_or_stays_what_it_is():
    numbered = Vocabulary([7, -5, 2**62])
    texts = ["7", "-5", str(2**62), "--5", "-", "", "\u00b2", "\u0663", "7.0", " 7", "7\n", "007", "-0"]
    texts += ["9" * 19, "9" * 5_000]
    parsed = numbered.parse(texts)
    assert parsed[:3] == [7, -5, 2**62] and parsed[3:-2] == texts[3:-2]
    assert numbered.rows(parsed, unknown="mark").tolist() == [0, 1, 2] + [-1] * (len(texts) - 3)
    assert Vocabulary(["7"]).parse(["7"]) == ["7"]


def test_a_text_is_no_collection_of_its_letters():
    for ids, asked in ((["a", "b"], "ab"), ([97, 98], b"ab")):
        with pytest.raises(InvalidInput, match=r"must come as a collection \(got the (str 'ab'|bytes b'ab')\)"):
            Vocabulary(ids).rows(asked)


def test_unknown_ids_are_named_up_to_ten_and_counted():
    with pytest.raises(UnknownIds) as caught:
        Vocabulary(range(5)).rows([1, *range(10, 30)])
    text = str(caught.value)
    assert "20 of 21" in text
    assert "10, 11, 12, 13, 14, 15, 16, 17, 18, 19, ..." in text
    assert "20," not in text.split("(")[1]
    assert 'unknown="mark"' in text
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([1, "a"], "int, str"),
        ([1.5], "float"),
        ([True], "bool"),
        ([None], "NoneType"),
        (["a", "b", "a"], "'a'"),
        ([2**64], "64"),
    ],
)
def test_bad_ids_are_refused(ids, said):
    with pytest.raises(InvalidInput, match=said):
        Vocabulary(ids)


@pytest.mark.parametrize("ids", [[7, 1, 9, 4], ["seven", "one", "nine", "four"]])
def test_a_tombstone_has_no_id_and_moves_no_row(ids):
    vocabulary = Vocabulary(ids)
    keys = vocabulary.keys
    remaining = vocabulary.without([1])
    assert remaining.take(range(4)) == [ids[0], None, ids[2], ids[3]]
    assert remaining.alive.tolist() == [True, False, True, True]
    assert remaining.rows([*ids], unknown="mark").tolist() == [0, -1, 2, 3]
    assert ids[1] not in remaining
    assert ids[1] not in remaining.ids.tolist()
    assert remaining.keys.tolist() == [keys[0], 0, keys[2], keys[3]]
    assert ids[1] in vocabulary  # the original is untouched
    assert vocabulary.without([1]) == remaining
    assert remaining != vocabulary
    assert Vocabulary.restore(remaining.take(range(4)), remaining.kind) == remaining


def test_zero_is_no_id_of_an_int_tombstone():
    remaining = Vocabulary([5, 6]).without([0])
    assert 0 not in remaining
    assert remaining.rows([0, 6], unknown="mark").tolist() == [-1, 1]


def test_keys_follow_the_id_not_the_row():
    ids = [f"user {k}" for k in range(500)]
    forward, backward = Vocabulary(ids), Vocabulary(ids[::-1])
    assert forward.keys.tolist() == backward.keys[::-1].tolist()
    assert len(set(forward.keys.tolist())) == 500
    # Pinned: another hash would change every split and every draw of stored work.
    assert [hex(Vocabulary([value]).keys[0]) for value in ("a", 1)] == ["0x5266d5d0c19ab803", "0xacf11baff1e2aae"]


def test_an_empty_vocabulary_knows_nothing():
    empty = Vocabulary([])
    assert len(empty) == 0
    assert empty.rows([1, "a"], unknown="mark").tolist() == [-1, -1]
    assert empty.keys.tolist() == []


def test_a_hundred_thousand_keys_in_half_a_second():
    vocabulary = Vocabulary([f"user-{k}" for k in range(100_000)])
    start = time.process_time()
    assert (vocabulary.keys > 0).all()
    assert time.process_time() - start < 0.5


def test_arrays_cannot_be_written():
    vocabulary = Vocabulary([1, 2])
    for array in (vocabulary.ids, vocabulary.alive, vocabulary.keys):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("ids", [list(range(50)), [f"u{number}" for number in range(50)]])
def test_the_first_lookups_and_later_ones_find_the_same(ids):
    left = Vocabulary(ids).without([0, 7])
    expected = [-1 if row in (0, 7) else row for row in range(50)]
    assert [int(left.rows([value], unknown="mark")[0]) for value in ids] == expected  # looked through, then hashed
    assert left.rows(ids, unknown="mark").tolist() == expected


@pytest.mark.parametrize("lookups", [1, 50], ids=["looked through", "hashed"])
def test_nobody_is_found_under_another_ones_id(lookups):
    vocabulary = Vocabulary(["a", "a\0", "b"])
    assert vocabulary.rows(["a\0", "a", "b\0"] * lookups, unknown="mark").tolist() == [1, 0, -1] * lookups
