"""What may stand beside interactions: features of items and ties of users."""

from __future__ import annotations

import pandas as pd
import pytest

from recsys.data import (
    Interactions,
    read,
    read_features,
    to_parquet,
)
from recsys.errors import InvalidInteractions


def test_features_are_typed(write):
    path = write(
        "x.item",
        "item_id:token\tname:token_seq\tyear:float\tvec:float_seq\tcode:token\n"
        "1\tToy Story\t1995\t.5 1\t01\n2\tÉté\t\t\t2\n",
    )
    table = read_features(path)
    assert table["item_id"].tolist() == [1, 2]
    assert table["name"].tolist() == [["Toy", "Story"], ["Été"]]
    assert table["year"].iloc[0] == 1995
    assert pd.isna(table["year"].iloc[1])
    assert table["vec"].tolist() == [[0.5, 1.0], []]
    assert table["code"].tolist() == ["01", "2"]


def test_features_that_are_no_numbers_are_named(write):
    path = write(
        "x.item",
        "item_id:token\tyear:float\tvec:float_seq\n1\t1995\t.5 x\n2\tlate\t\n3\t\t-1e3 nan\n4\t1 2\t7\n",
    )
    with pytest.raises(InvalidInteractions) as caught:
        read_features(path)
    assert len(caught.value.problems) == 2
    for part in ("`year` must hold a number (2 bad, line 3, 5)", "`vec` must hold numbers (1 bad, line 2)"):
        assert part in str(caught.value)


def test_reading_gives_interactions_with_ties(write):
    path, ties = write("x.csv", "user,item\na,1\nb,1\n"), write("t.csv", "from,to\na,c\n")
    data = read(path, ties=ties)
    assert isinstance(data, Interactions)
    assert data.users.take(range(3)) == ["a", "b", "c"]
    assert data.ties.tolist() == [[0, 2]]


def test_ties_beside_a_table_of_others_are_not_its_own(tmp_path):
    table = pd.DataFrame({"user": ["a", "b"], "item": [1, 1]})
    to_parquet(Interactions.from_frame(table, ties=pd.DataFrame({"x": ["a"], "y": ["b"]})), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet").ties.tolist() == [[0, 1]]
    table.to_parquet(tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet").ties is None


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_what_a_file_of_ties_has_beside_their_ends_is_left_alone(write, tmp_path, name):
    table = pd.DataFrame({"source": ["a"], "target": ["b"], "since": [2019]})
    table.to_parquet(tmp_path / name) if name == "t.parquet" else table.to_csv(tmp_path / name, index=False)
    assert read(write("x.csv", "user,item\na,1\nb,1\n"), ties=tmp_path / name).ties.tolist() == [[0, 1]]


def test_the_first_tie_of_a_file_without_a_header_counts(write):
    path = write("x.csv", "user,item\na,1\nb,1\nc,1\n")
    for text in ("a b\nb c\n", "source,target\na,b\nb,c\n", "User ID\tFriend ID\na\tb\nb\tc\n"):
        data = read(path, ties=write("t.txt", text))
        assert (data.n_users, data.ties.tolist()) == (3, [[0, 1], [1, 2]])
