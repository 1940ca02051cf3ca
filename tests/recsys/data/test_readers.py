"""Every format on small files: what is read, and what is said of what cannot be."""

from __future__ import annotations

import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.data import (
    Columns,
    Interactions,
    Split,
    from_parquet,
    read,
    read_features,
    read_split,
    to_inter,
    to_parquet,
)
from recsys.errors import InvalidInteractions


@pytest.fixture
def write(tmp_path):
    def writer(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
        return path

    return writer


def rows(data):
    return list(data.frame().itertuples(index=False, name=None))


FILES = {
    "lightgcn": (
        "train.txt",
        "0 5 3\n2 3\n1\n\n7 1 2 3 4 5\n",
        [(0, 3), (0, 5), (2, 3)] + [(7, k) for k in range(1, 6)],
    ),
    "pairs": ("ties.txt", "1 2\n1 3\n2 3\n", [(1, 2), (1, 3), (2, 3)]),
    "triples": (
        "d.txt",
        "1\t51\t13883\r\n1\t52\t1.2e+04\r\n2\t51\t5\r\n",
        [(1, 51, 13883), (1, 52, 12000), (2, 51, 5)],
    ),
    "triples in commas": ("d.txt", "1,51,2\n2,51,5", [(1, 51, 2), (2, 51, 5)]),
    "triples in spaces": ("d.txt", "1  51 2\n1 52 .5\n", [(1, 51, 2), (1, 52, 0.5)]),
    "triples in quotes": ("d.txt", '"1","51","2"\n"2","51","5"\n', [(1, 51, 2), (2, 51, 5)]),
    "headed triples": ("d.txt", "userID\tartistID\tweight\n3\t1\t7\n3\t2\t9\n", [(3, 1, 7), (3, 2, 9)]),
    "u.data": ("u.data", "1\t2\t4\t100\n1\t3\t3\t101\n2\t2\t5\t99\n", [(1, 2, 100), (2, 2, 99)]),
    "ratings.dat": ("ratings.dat", "1::2::4::100\n1::3::3.5::101\n", [(1, 2, 100)]),
    "ratings.csv": ("ratings.csv", "userId,movieId,rating,timestamp\n1,2,4.0,100\n1,3,1.0,101\n", [(1, 2, 100)]),
    "ratings.csv without times": ("x.csv", "userId,movieId,rating\n1,2,4.0\n1,3,1.0\n", [(1, 2)]),
    "ratings.csv with tags": ("x.csv", "userId,movieId,rating,tag,timestamp\n1,2,4.0,x,100\n", [(1, 2, 100)]),
    "ratings.dat without times": ("ratings.dat", "1::2::4\n1::3::3.5\n", [(1, 2)]),
    "csv": ("x.csv", '\ufeffitem,user,extra\n"a,b",u2,x\nc,u1,"y"\n', [("u1", "c"), ("u2", "a,b")]),
    "csv with semicolons": ("x.csv", "user_id;product_id;count\n1;2;3\n", [(1, 2, 3)]),
    "recbole": (
        "x.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\nb\t007\t5\t1\na\t8\t2\t2\nb\t9\t4\t3\n",
        [("b", "007", 1), ("b", "9", 3)],
    ),
}


@pytest.mark.parametrize(("name", "text", "expected"), FILES.values(), ids=FILES)
def test_formats_are_found_by_content(write, name, text, expected):
    assert rows(read(write(name, text))) == expected


@pytest.mark.parametrize("mark", ["\t", ",", ";", " "])
def test_a_rating_is_one_whatever_separates_it(write, mark):
    path = write("x.txt", "1 2 4 100\n1 3 3 101\n2 2 5 99\n".replace(" ", mark))
    assert rows(read(path)) == [(1, 2, 100), (2, 2, 99)]
    assert rows(read(path, format="triples")) == [(1, 2, 4, 100), (1, 3, 3, 101), (2, 2, 5, 99)]


def test_ratings_stay_weights_without_a_threshold(write):
    path = write("u.data", "1\t2\t4\t100\n1\t3\t3\t101\n")
    assert rows(read(path, threshold=None)) == [(1, 2, 4, 100), (1, 3, 3, 101)]
    assert rows(read(path, threshold=3)) == [(1, 2, 100), (1, 3, 101)]


@pytest.mark.parametrize(
    ("duplicates", "expected"),
    [("first", [(1, 2, 10), (2, 2, 1)]), ("last", [(2, 2, 1), (3, 2, 8)]), ("sum", [(1, 2, 10), (2, 2, 1), (3, 2, 8)])],
)
def test_the_rating_that_counts_is_the_one_that_the_threshold_sees(write, duplicates, expected):
    path = write("x.csv", "user,item,rating,time\n1,2,5,10\n3,2,2,7\n1,2,1,20\n2,2,4,1\n3,2,4,8\n")
    assert rows(read(path, duplicates=duplicates)) == expected
    with pytest.raises(InvalidInteractions, match=r"occur together only once \(2 bad, line 4, 6\)"):
        read(path)


@pytest.mark.parametrize("line", ["user{n},item5", '{{"user": {n}, "item": 5}}'], ids=["no header", "JSON"])
def test_an_id_is_not_taken_for_the_name_of_a_column(write, line):
    path = write("x.csv", "\n".join(line.format(n=n) for n in (1, 2, 3)))
    with pytest.raises(InvalidInteractions, match="column of user ids must be named .*--format triples"):
        read(path)


def test_text_without_a_header_is_read_as_such(write):
    path = write("x.csv", "user1,item5\nuser2,item5")
    assert rows(read(path, format="triples")) == [("user1", "item5"), ("user2", "item5")]
    rated = write("ratings.csv", "A1,007,5.0,13\nA1,008,2.0,14\n")
    with pytest.raises(InvalidInteractions, match="--format movielens"):
        read(rated)
    assert rows(read(rated, format="movielens")) == [("A1", "007", 13)]


def test_columns_can_be_named(write, tmp_path):
    table = pd.DataFrame({"who": ["b", "a"], "what": [1, 2], "how_much": [1.5, 2.5], "stars": [5, 4], "when": [7, 8]})
    table.to_csv(tmp_path / "x.csv", index=False)
    table.to_parquet(tmp_path / "x.parquet")
    for name in ("x.csv", "x.parquet"):
        data = read(
            tmp_path / name, user="who", item="what", weight="how_much", rating="stars", time="when", threshold=5
        )
        assert rows(data) == [("b", 1, 1.5, 7)]
    with pytest.raises(InvalidInteractions) as caught:
        read(tmp_path / "x.csv", item="what", time="then")
    assert "column of user ids must be named" in caught.value.problems[0]
    assert "`then` must exist" in caught.value.problems[1]


def test_named_format_settles_what_content_cannot(write):
    path = write("x.txt", "0 1 2\n1 4 5\n")
    with pytest.raises(InvalidInteractions, match='format="triples" or format="lightgcn"'):
        read(path)
    assert rows(read(path, format="lightgcn")) == [(0, 1), (0, 2), (1, 4), (1, 5)]
    assert rows(read(path, format="triples")) == [(0, 1, 2), (1, 4, 5)]
    for name in ("u.data", "ratings.dat", "ratings.csv"):
        _, text, expected = FILES[name]
        assert rows(read(write(name, text), format="movielens")) == expected
    with pytest.raises(InvalidInteractions, match="must be one of lightgcn, triples"):
        read(path, format="xml")


def test_every_problem_with_its_line(write):
    path = write("x.txt", "1\t10\t3\n1\t10\t4\n2\t11\n\n-3\t12\t1\n4\t13\tmany\n5\t14\tnan\n6\t15\t1\t2\n\t16\t1\n")
    with pytest.raises(InvalidInteractions) as caught:
        read(path)
    text = str(caught.value)
    for part in (
        "a line must have 3 fields (user, item, weight) (2 bad, line 3, 8)",
        "`user` must not be missing (1 bad, line 9)",
        "`weight` must hold finite numbers (2 bad, line 6, 7)",
        "a user and item must occur together only once (1 bad, line 2)",
    ):
        assert f"x.txt: {part}" in text
    negative = write("y.txt", "1\t10\t3\n-3\t12\t1\n")
    with pytest.raises(InvalidInteractions, match=r"negative \(1 bad, line 2\)"):
        read(negative)


def test_lightgcn_problems(write):
    with pytest.raises(InvalidInteractions, match=r"whole numbers \(2 bad, line 2, 4\)"):
        read(write("x.txt", "0 1 2 3 9\n1 x\n2 5\n3 1.5\n"))
    with pytest.raises(InvalidInteractions, match=r"only once \(1 bad, line 3\)"):
        read(write("x.txt", "0 1 2 3 9\n1 6\n2 5 5\n"))
    for odd in ("9223372036854775808", "-9223372036854775809", "--5", "\u00b2", "1_0", "+10", "010", "\u0661\u0660"):
        with pytest.raises(InvalidInteractions, match=r"64-bit whole numbers \(1 bad, line 2\)"):
            read(write("x.txt", f"0 1 2 3 9\n1 6 {odd}\n2 5\n"), format="lightgcn")
    ends = read(write("x.txt", "0 1 2 3 9223372036854775807\n1 6\n"))
    assert ends.items.take([4]) == [2**63 - 1]


def test_ties_stay_with_their_users_where_the_test_has_others_and_every_part_tells_of_low_ratings(write, tmp_path):
    write("split/train.csv", "user,item,rating\nb,1,5\nc,2,5\nd,1,1\nd,2,4\n")
    write("split/test.csv", "user,item,rating\na,1,5\na,2,2\nb,2,5\n")  # a goes before all others
    write("split/ties.csv", "source,target\nb,c\nd,b\n")
    told = []
    split = read(tmp_path / "split", left_out=told.append)
    assert told == [2]
    for part in (split.train, split.validation, split.test):
        assert [part.users.take(pair) for pair in part.ties] == [["b", "c"], ["d", "b"]]


@pytest.mark.parametrize(("duplicates", "low"), [("first", 1), ("last", 0), ("sum", 1)])
def test_of_who_rated_again_only_the_rating_that_counts_is_left_out(write, duplicates, low):
    path, told = write("r.csv", "user,item,rating\n1,2,1\n1,2,5\n3,4,4\n"), []
    data = read(path, duplicates=duplicates, left_out=told.append)
    assert told == [low] and len(data) == (1 if duplicates == "first" else 2)


def test_a_part_that_cannot_be_read_is_never_left_out(write):
    train, test = write("train.txt", "0 1 2 3 9\n1 --6\n"), write("test.txt", "0 5 6 7\n1 8\n")
    for parts, said in (((train, test), "train.txt: a line must"), ((test, train), "train.txt: a line must")):
        with pytest.raises(InvalidInteractions, match=said):
            read_split(*parts, unseen="keep")


@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.inter"])
def test_an_empty_file_is_a_problem(write, name):
    with pytest.raises(InvalidInteractions, match="at least one line"):
        read(write(name, " \n"))


def test_headers_alone_and_bad_headers(write):
    with pytest.raises(InvalidInteractions, match="at least one interaction"):
        read(write("x.csv", "user,item\n"))
    with pytest.raises(InvalidInteractions, match="`name:type`") as caught:
        read(write("x.inter", "user_id:token\titem\tuser_id:token\n1\t2\t3\n"))
    assert "different names" in str(caught.value)
    path = write("x.csv", "")
    path.write_bytes(b"user,item\n\xff,1\n")
    with pytest.raises(InvalidInteractions, match="UTF-8"):
        read(path)


def test_nothing_passes_below_the_threshold(write):
    with pytest.raises(
        InvalidInteractions, match=r"got none: all 2 ratings are below 4\); lower .*--threshold"
    ) as caught:
        read(write("u.data", "1\t2\t3\t100\n1\t3\t3\t101\n"))
    assert len(caught.value.problems) == 1


def test_kinds_of_ids_agree_across_files(write, tmp_path):
    write("x.inter", "user_id:token\titem_id:token\n1\t5\n2\t6\n")
    write("x.net", "source_id:token\ttarget_id:token\n1\tbob\nbob\t2\n")
    data = read(tmp_path)
    assert data.users.take(range(3)) == ["1", "2", "bob"]
    assert data.items.kind == "int"
    assert data.ties.tolist() == [[0, 2], [2, 1]]


@pytest.mark.parametrize("id", [10**18, 2**63 - 1, 2**63, 10**19])
def test_a_number_is_an_id_of_the_same_kind_in_text_as_in_a_table(write, tmp_path, id):
    """What fits in 64 bits is int in both; what does not fit no table of integers could hold."""
    text = read(write("x.csv", f"user,item\n{id},1\n7,{id}\n"))
    assert text.users.take([0, 1]) == ([7, id] if id < 2**63 else sorted([str(id), "7"]))
    if id < 2**63:
        pd.DataFrame({"user": [id, 7], "item": [1, id]}).to_parquet(tmp_path / "x.parquet")
        assert read(tmp_path / "x.parquet").digest() == text.digest()
        to_inter(text, tmp_path / "x.inter")
        assert read(tmp_path / "x.inter").digest() == text.digest()


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


RECBOLE = {
    "usual names in the other order": ("item_id user_id", (None, None), (1, 0)),
    "a session before them": ("session_id user_id item_id", (None, None), (1, 2)),
    "usual names of other data sets": ("category UserID business_id", (None, None), (1, 2)),
    "no usual name": ("who what where", (None, None), (0, 1)),
    "only the user": ("session_id user_id clip", (None, None), (1, 2)),
    "only the user, last": ("clip user_id", (None, None), (1, 0)),
    "only the item": ("item_id who where", (None, None), (1, 0)),
    "asked for": ("user_id item_id where", ("where", None), (2, 1)),
    "asked for the other way round": ("user_id item_id", ("item_id", None), (1, 0)),
}


@pytest.mark.parametrize(("header", "asked", "expected"), RECBOLE.values(), ids=RECBOLE)
def test_columns_of_atomic_files_go_by_name_first(write, header, asked, expected):
    names = header.split()
    text = "\t".join(f"{name}:token" for name in names) + "\n" + "\t".join(f"in {name}" for name in names) + "\n"
    data = read(write("x.inter", text), user=asked[0], item=asked[1])
    assert rows(data) == [tuple(f"in {names[place]}" for place in expected)]


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


TIMES = {
    "dates": (["1970-01-02", "1970-01-03"], [86400, 2 * 86400]),
    "dates and times": (["1970-01-01 00:00:01", "1970-01-01T00:01:00.5"], [1, 60.5]),
    "zones": (["1970-01-01T00:00:01Z", "1970-01-01T01:00:00+01:00"], [1, 0]),
    "dates of different lengths": (["1970-01-02", "1970-01-02 00:00:01Z"], [86400, 86401]),
    "numbers": (["1", "2.5e3"], [1, 2500]),
}


@pytest.mark.parametrize(("written", "seconds"), TIMES.values(), ids=TIMES)
def test_times_may_be_dates(write, written, seconds):
    lines = "".join(f"1,{item},{time}\n" for item, time in enumerate(written))
    assert read(write("x.csv", f"user,item,timestamp\n{lines}")).time.tolist() == seconds


def test_dates_of_a_parquet_file(tmp_path):
    when = pd.Series(pd.to_datetime([86_400, 7_202], unit="s"))
    for column, seconds in (
        (when, [86_400, 7_202]),
        (when.astype("datetime64[ms]").dt.tz_localize("Asia/Tokyo"), [86_400 - 9 * 3600, 7_202 - 9 * 3600]),
        (when.dt.date, [86_400, 0]),
    ):
        pd.DataFrame({"user": [1, 1], "item": [1, 2], "time": column}).to_parquet(tmp_path / "x.parquet")
        assert read(tmp_path / "x.parquet").time.tolist() == seconds


@pytest.mark.parametrize("duplicates", ["raise", "first", "last", "sum"])
def test_a_parquet_column_of_lists_holds_no_ids(tmp_path, duplicates):
    frame = pd.DataFrame({"user": [1, 2], "item": [3, 4], "rating": [5.0, 4.0], "genres": [["a"], ["b", "c"]]})
    frame.to_parquet(tmp_path / "x.parquet")
    assert len(read(tmp_path / "x.parquet", duplicates=duplicates)) == 2  # whatever else lies beside them
    frame.assign(user=[[1], [2]], item=[{"id": 3}, {"id": 4}]).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InvalidInteractions) as error:
        read(tmp_path / "x.parquet", duplicates=duplicates)
    assert [text.partition(" (got ")[0] for text in error.value.problems] == [
        f"x.parquet: `{name}` must hold an id a row" for name in ("user", "item")
    ]


def test_columns_of_one_name_in_a_parquet_file(tmp_path):
    pq.write_table(pa.table([[1], [2], [5]], names=["user", "item", "item"]), tmp_path / "x.parquet")
    with pytest.raises(InvalidInteractions, match=r"different names \(got user, item, item\); rename them") as caught:
        read(tmp_path / "x.parquet")
    assert len(caught.value.problems) == 1


def test_a_date_is_no_rating(tmp_path):
    rated = pd.DataFrame({"user": [1, 1], "item": [1, 2], "rating": pd.to_datetime([5, 6], unit="s")})
    rated.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InvalidInteractions, match=r"`rating` must hold finite numbers \(2 bad, row 0, 1\)"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("times", "line"),
    [("2020-01-01 12:00 soon,2020-01-02", 2), ("1577836800,2020-01-02", 3), ("2020-01-01,", 3), ("inf,5", 2)],
)
def test_times_that_are_neither_numbers_nor_dates(write, times, line):
    lines = "".join(f"1,{item},{time}\n" for item, time in enumerate(times.split(",")))
    said = rf"2024-01-31T18:30:00Z \(1 bad, line {line}\).*leave the column out"
    with pytest.raises(InvalidInteractions, match=said):
        read(write("x.csv", f"user,item,time\n{lines}"))


def test_a_header_alone_has_no_times(write):
    with pytest.raises(InvalidInteractions, match="at least one interaction") as caught:
        read(write("x.csv", "user,item,time\n"))
    assert len(caught.value.problems) == 1


def test_a_column_that_is_not_found_can_be_renamed(write):
    remedy = r"rename it to `user`, name it \(`--column user=...`, or user=... from Python\), or .*`--format triples`"
    with pytest.raises(InvalidInteractions, match=remedy):
        read(write("x.csv", "who,item\na,1\n"))


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


def test_parquet_that_is_cut_off_is_a_problem_among_others(write, tmp_path):
    whole = tmp_path / "whole.parquet"
    pd.DataFrame({"user": [1, 2], "item": [3, 4]}).to_parquet(whole)
    cut, text = tmp_path / "cut.parquet", write("x.csv", "user,item\n1,3\n")
    cut.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(InvalidInteractions) as caught:
        read_split(cut, write("test.txt", "1 1\n1 6 --5\n2 7 8 9\n"), ties=cut)
    for part in ("cut.parquet: the file must be whole Parquet", "test.txt: a line must"):
        assert part in str(caught.value)
    assert len([problem for problem in caught.value.problems if "whole Parquet" in problem]) == 2
    with pytest.raises(InvalidInteractions, match=r"x.csv: the file must be whole Parquet"):
        read(text, format="parquet")
    for end in (20, 2):
        to_parquet(read(text), whole)
        cut.write_bytes(whole.read_bytes()[:-end])
        with pytest.raises(InvalidInteractions, match="must be a whole file of `to_parquet`"):
            from_parquet(cut)


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


def test_unknown_folders_and_paths(tmp_path, write):
    with pytest.raises(InvalidInteractions, match=r"nowhere` must be a file or a folder that exists"):
        read(tmp_path / "nowhere")
    write("graph.txt", "1 2\n")
    with pytest.raises(InvalidInteractions, match=r"known layout.*got graph\.txt"):
        read(tmp_path)


def test_a_pipe_is_refused_before_anything_is_taken_out_of_it():
    content = b"1 2\n1 3\n2 3\n"
    out, into = os.pipe()
    with os.fdopen(out, "rb") as file:
        os.write(into, content)
        os.close(into)
        with pytest.raises(InvalidInteractions, match="no pipe"):
            read(f"/dev/fd/{out}")
        assert file.read() == content


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


def test_the_first_tie_of_a_file_without_a_header_counts(write):
    path = write("x.csv", "user,item\na,1\nb,1\nc,1\n")
    for text in ("a b\nb c\n", "source,target\na,b\nb,c\n", "User ID\tFriend ID\na\tb\nb\tc\n"):
        data = read(path, ties=write("t.txt", text))
        assert (data.n_users, data.ties.tolist()) == (3, [[0, 1], [1, 2]])
