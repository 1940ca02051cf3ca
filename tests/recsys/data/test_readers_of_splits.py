"""Folders that bring train, validation and test: one vocabulary, nothing twice, every problem of every file."""

from __future__ import annotations

import pandas as pd
import pytest

from recsys.data import (
    Columns,
    Interactions,
    Split,
    read,
    read_split,
    to_parquet,
)
from recsys.errors import InvalidInteractions
from tests.recsys.data.rows import rows


def test_ties_stay_with_their_users_where_the_test_has_others_and_every_part_tells_of_low_ratings(write, tmp_path):
    write("split/train.csv", "user,item,rating\nb,1,5\nc,2,5\nd,1,1\nd,2,4\n")
    write("split/test.csv", "user,item,rating\na,1,5\na,2,2\nb,2,5\n")  # a goes before all others
    write("split/ties.csv", "source,target\nb,c\nd,b\n")
    told = []
    split = read(tmp_path / "split", left_out=told.append)
    assert told == [2]
    for part in (split.train, split.validation, split.test):
        assert [part.users.take(pair) for pair in part.ties] == [["b", "c"], ["d", "b"]]


def test_a_part_that_cannot_be_read_is_never_left_out(write):
    train, test = write("train.txt", "0 1 2 3 9\n1 --6\n"), write("test.txt", "0 5 6 7\n1 8\n")
    for parts, said in (((train, test), "train.txt: a line must"), ((test, train), "train.txt: a line must")):
        with pytest.raises(InvalidInteractions, match=said):
            read_split(*parts, unseen="keep")


def test_kinds_of_ids_agree_across_files(write, tmp_path):
    write("x.inter", "user_id:token\titem_id:token\n1\t5\n2\t6\n")
    write("x.net", "source_id:token\ttarget_id:token\n1\tbob\nbob\t2\n")
    data = read(tmp_path)
    assert data.users.take(range(3)) == ["1", "2", "bob"]
    assert data.items.kind == "int"
    assert data.ties.tolist() == [[0, 2], [2, 1]]


def test_a_folder_with_a_split_is_one_vocabulary(write, tmp_path):
    write("train.txt", "4 10 30\n1 20 10 30\n")
    write("test.txt", "4 20\n1 40\n9 10 20 5\n")
    write("trustnetwork.txt", "4\t7\n7\t4\n")
    split = read(tmp_path)
    assert isinstance(split, Split)
    assert split.train.users.take(range(4)) == [1, 4, 7, 9]
    assert split.train.items.take(range(5)) == [5, 10, 20, 30, 40]
    assert rows(split.test) == [(1, 40), (4, 20), (9, 5), (9, 10), (9, 20)]
    assert rows(split.refit()) == [(1, 10), (1, 20), (1, 30), (4, 10), (4, 30)]
    assert split.train.ties.tolist() == split.test.ties.tolist() == [[1, 2], [2, 1]]


def test_unseen_and_overlapping_lines_of_a_test_file(write):
    train, test = write("train.txt", "0 1 2 3 4\n1 2\n"), write("test.txt", "0 9 5 1 8\n3 1\n")
    with pytest.raises(InvalidInteractions) as caught:
        read_split(train, test)
    assert [
        part in str(caught.value) for part in ("not be in train too (1 bad, line 1)", "every user", "every item")
    ] == [True] * 3
    assert "every user must occur in train (1 bad, line 2)" in str(caught.value)
    assert "every item must occur in train (3 bad, line 1, 1, 1)" in str(caught.value)
    clean = write("clean.txt", "0 9 5 8 11\n")
    assert len(read_split(train, clean, unseen="keep").test) == 4


def test_validation_and_test_share_nothing_either(write):
    """Else the test would be trained on: the final model learns from train and validation."""
    train, valid, test = (write(f"{n}.txt", f"{text}\n") for n, text in (("a", "0 1\n1 2"), ("b", "0 2"), ("c", "0 2")))
    with pytest.raises(
        InvalidInteractions, match=r"c.txt: an interaction must not be in validation too \(1 bad, line 1\)"
    ):
        read_split(train, test, validation_file=valid)


@pytest.mark.parametrize("other", ["int64", "int32", "uint32", "uint64", "float64", "float32", "Int64", "category"])
def test_parts_of_a_split_may_have_different_types_of_numbers(other, tmp_path):
    table = pd.DataFrame({"user": [7, 11, 300], "item": [1, 2, 3]})
    for kinds in (("int64", other), (other, "int64")):
        table.astype({"user": kinds[0]}).to_parquet(tmp_path / "train.parquet")
        table.assign(item=[2, 3, 1]).astype({"user": kinds[1], "item": kinds[1]}).to_parquet(tmp_path / "test.parquet")
        pd.DataFrame({"a": [7], "b": [300]}).astype(other).to_parquet(tmp_path / "ties.parquet")
        split = read(tmp_path)
        assert split.train.users.take(range(3)) == [7, 11, 300]
        assert rows(split.test) == [(7, 2), (11, 3), (300, 1)]
        assert split.train.ties.tolist() == [[0, 2]]
    table.astype({"user": str}).to_parquet(tmp_path / "train.parquet")
    assert read(tmp_path).train.users.take(range(3)) == ["11", "300", "7"]


@pytest.mark.parametrize(("users", "items"), [([1, 2], [3, 1]), ([2, 3], [1, 2]), ([2, 3], [3, 1])])
def test_snapshots_that_were_written_apart_get_one_vocabulary(tmp_path, users, items):
    for name, table in (("train", {"user": [1, 2], "item": [1, 2]}), ("test", {"user": users, "item": items})):
        to_parquet(Interactions.from_frame(pd.DataFrame(table)), tmp_path / f"{name}.parquet")
    split = read_split(tmp_path / "train.parquet", tmp_path / "test.parquet", unseen="keep")
    assert rows(split.test) == sorted(zip(users, items, strict=True))
    assert rows(split.refit()) == [(1, 1), (2, 2)]


def test_numbers_that_are_no_ids_are_named_whatever_the_other_part_has(tmp_path):
    pd.DataFrame({"user": [1, 2, 3], "item": [1, 2, 3]}).to_parquet(tmp_path / "train.parquet")
    for users, said in (
        ([1.0, 2.5, 3.0], r"test\.parquet: `user` must hold whole numbers, or strings, not both \(1 bad, row 1\)"),
        ([1.0, None, 3.0], r"test\.parquet: `user` must not be missing \(1 bad, row 1\)"),
        (pd.array([1, None, 3], dtype="Int64"), r"test\.parquet: `user` must not be missing \(1 bad, row 1\)"),
        ([1, 2.0**53, 3], r"test\.parquet: `user` must hold whole .*\(1 bad, row 1\)"),
        (pd.array([1, 2**63, 3], dtype="uint64"), r"test\.parquet: `user` must hold whole .*\(1 bad, row 1\)"),
    ):
        pd.DataFrame({"user": users, "item": [2, 3, 1]}).to_parquet(tmp_path / "test.parquet")
        with pytest.raises(InvalidInteractions, match=said):
            read(tmp_path)


def test_problems_of_all_files_come_together(write):
    train, test = write("train.txt", "1\t2\t3\n1\t2\t3\n"), write("test.txt", "5\tx\t1\n6\t7\n")
    ties = write("ties.txt", "1\t1\n")
    with pytest.raises(InvalidInteractions) as caught:
        read_split(train, test, ties=ties)
    text = str(caught.value)
    for part in (
        "train.txt: a user and item",
        "test.txt: a line must have",
        "two different users (1 bad, ties.txt, line 1)",
    ):
        assert part in text


def test_atomic_parts_are_one_split_of_a_name_with_dots(write, tmp_path):
    for name, text in {"train": "1\t2\n1\t3\n", "test": "1\t4\n"}.items():
        write(f"books-1.2.{name}.inter", f"user_id:token\titem_id:token\n{text}")
    split = read(tmp_path)
    assert rows(split.refit()) == [(1, 2), (1, 3)] and rows(split.test) == [(1, 4)]


def test_a_validation_file_is_used_as_it_is(write, tmp_path):
    texts = {"train": "1\t2\n1\t3\n2\t2", "valid": "2\t3", "test": "1\t4"}
    for name, text in texts.items():
        write(f"x.{name}.inter", f"user_id:token\titem_id:token\n{text}\n")
    split = read(tmp_path)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [3, 1, 1]
    for valid in ("valid", "validation"):
        for name, text in texts.items():
            write(f"{valid}/{valid if name == 'valid' else name}.csv", f"user\titem\n{text}\n")
        assert read(tmp_path / valid).validation.digest() == split.validation.digest()
    named = read_split(
        tmp_path / "x.train.inter",
        tmp_path / "x.test.inter",
        validation_file=tmp_path / "x.valid.inter",
        unseen="keep",
        columns=Columns(user="item_id", item="user_id"),
    )
    assert rows(named.test) == [(4, 1)]
