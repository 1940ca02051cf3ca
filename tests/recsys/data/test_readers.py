"""Every format on small files: what is read, and what is said of what cannot be."""

from __future__ import annotations

import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.data import (
    from_parquet,
    read,
    read_split,
    to_inter,
    to_parquet,
)
from recsys.errors import InvalidInteractions
from tests.recsys.data.rows import rows

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
    "triples in semicolons": ("d.txt", "1;51;2\n2;51;5", [(1, 51, 2), (2, 51, 5)]),
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
    path = write("x.csv", "user,item,rating,weight\n1,2,4,7\n1,3,3,8\n")  # weights of their own go before
    assert rows(read(path, threshold=None)) == [(1, 2, 7), (1, 3, 8)]


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


@pytest.mark.parametrize(("duplicates", "low"), [("first", 1), ("last", 0), ("sum", 1)])
def test_of_who_rated_again_only_the_rating_that_counts_is_left_out(write, duplicates, low):
    path, told = write("r.csv", "user,item,rating\n1,2,1\n1,2,5\n3,4,4\n"), []
    data = read(path, duplicates=duplicates, left_out=told.append)
    assert told == [low] and len(data) == (1 if duplicates == "first" else 2)


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


def test_an_index_of_a_parquet_file_is_columns(tmp_path):
    """As `groupby(["user", "item"]).size()` leaves them: the file has the columns, for whoever reads it elsewhere."""
    table = pd.DataFrame({"user": ["b", "a"], "item": [4, 3], "count": [2, 5]})
    for index in (["user"], ["user", "item"]):
        table.set_index(index).to_parquet(tmp_path / "x.parquet")
        assert {"user", "item", "count"} == set(pq.read_schema(tmp_path / "x.parquet").names)
        data = read(tmp_path / "x.parquet")
        assert data.frame().to_dict("list") == {"user": ["a", "b"], "item": [3, 4], "weight": [5, 2]}
    table.set_index(pd.RangeIndex(2, name="user")).to_parquet(tmp_path / "x.parquet")  # beside a column of that name
    assert read(tmp_path / "x.parquet").users.take([0, 1]) == ["a", "b"]


def test_columns_of_one_name_in_a_parquet_file(tmp_path):
    pq.write_table(pa.table([[1], [2], [5]], names=["user", "item", "item"]), tmp_path / "x.parquet")
    with pytest.raises(InvalidInteractions, match=r"different names \(got user, item, item\); rename them") as caught:
        read(tmp_path / "x.parquet")
    assert len(caught.value.problems) == 1


def test_of_columns_of_one_usual_name_the_first_is_meant(write):
    assert rows(read(write("x.csv", "userId,user_id,item-id,itemid\n1,2,3,4\n5,6,7,8\n"))) == [(1, 3), (5, 7)]


def test_a_column_that_is_not_found_can_be_renamed(write):
    remedy = r"rename it to `user`, name it \(`--column user=...`, or user=... from Python\), or .*`--format triples`"
    with pytest.raises(InvalidInteractions, match=remedy):
        read(write("x.csv", "who,item\na,1\n"))


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


def test_unknown_folders_and_paths(tmp_path, write):
    with pytest.raises(InvalidInteractions, match=r"nowhere` must be a file or a folder that exists"):
        read(tmp_path / "nowhere")
    write("graph.txt", "1 2\n")
    with pytest.raises(InvalidInteractions, match=r"known layout.*got graph\.txt"):
        read(tmp_path)
    for name in ("u.data", "ratings.dat"):
        write(f"two/{name}", FILES[name][1])
    with pytest.raises(InvalidInteractions, match=r"one data set in a known layout.*got ratings\.dat, u\.data"):
        read(tmp_path / "two")


def test_a_pipe_is_refused_before_anything_is_taken_out_of_it():
    content = b"1 2\n1 3\n2 3\n"
    out, into = os.pipe()
    with os.fdopen(out, "rb") as file:
        os.write(into, content)
        os.close(into)
        with pytest.raises(InvalidInteractions, match="no pipe"):
            read(f"/dev/fd/{out}")
        assert file.read() == content
