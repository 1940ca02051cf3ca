from __future__ import annotations

import csv
import gzip

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import read
from recsys.errors import InvalidInteractions
from unlearn.invalid import InvalidInput, Problems
from unlearn.tables.pairs import pairs
from unlearn.tables.text import delimited, every_line, fields, read_lines


def noted(source="x.txt"):
    return Problems(source, InvalidInput)


@pytest.mark.parametrize("text", ["a b\r\n\r\nc d\r\n", "a b\n\nc d"])
def test_lines_keep_their_numbers_compressed_or_not(text, tmp_path):
    path = tmp_path / "x.txt"
    for content in (text.encode(), text.encode("utf-8-sig"), gzip.compress(text.encode())):
        path.write_bytes(content)
        assert every_line(path, noted()) == ["a b", "", "c d"]
        lines = read_lines(path, noted())
        assert (lines.tolist(), lines.index.tolist(), lines.index.name) == (["a b", "c d"], [1, 3], "line")


def test_only_line_ends_end_a_line(tmp_path):
    path, odd = tmp_path / "x.csv", "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    for end in ("\n", "\r\n", "\r"):
        path.write_bytes(f"user,item,title{end}1,2,{odd}{end}3,4,x".encode())
        assert every_line(path, noted()) == ["user,item,title", f"1,2,{odd}", "3,4,x"]
        frame = delimited(read_lines(path, noted()), ",", None, noted())
        assert frame["title"].tolist() == [odd, "x"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "UTF-8"),
        (gzip.compress(b"x" * 99, mtime=0)[:-9], "whole"),
        (b"\n \n", "at least one line"),
    ],
)
def test_files_that_cannot_be_read(content, said, tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        read_lines(path, noted())


def test_fields_are_cut_at_the_separator_of_their_line():
    assert [fields(line) for line in ("a\tb c", "a, b", "a;b", "a::b", " a  b ")] == [
        ["a", "b c"],
        ["a", "b"],
        ["a", "b"],
        ["a", "b"],
        ["a", "b"],
    ]


@pytest.mark.parametrize("mark", ["\t", ",", ";", "::", " ", "   "])
def test_what_stands_in_quotes_separates_nothing(mark):
    """Neither where the fields of a line are told nor where a table is read, whichever other separators are in it."""
    rows = [["Doe, Jane; x", "a b", "1"], ["b\tc", "d::e", "2"], ['say "so"', "5", "3"]]
    written = [mark.join('"' + field.replace('"', '""') + '"' for field in row) for row in rows]
    assert [fields(line) for line in written] == rows
    problems = noted()
    assert pairs(numbered(written), ["u", "v", "w"], problems).to_numpy().tolist() == rows
    assert not problems.found
    bare = ['5" disk', 'a "b" c', 'x"', "y"]
    assert fields(";".join(bare)) == bare


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (["1 2 3 4", "5 6 7 8"], ["u", "v", "w", "field 4"]),
        (["a,b,c,d", "1,2,3,4", "5,6,7,8"], ["a", "b", "c", "d"]),
        (["s:token\tt:token\tx:float\ty:float", "1\t2\t3\t4", "5\t6\t7\t8"], ["s", "t", "x", "y"]),
    ],
)
def test_pairs_of_every_dialect(rows, names):
    frame = pairs(pd.Series(rows, index=pd.RangeIndex(1, len(rows) + 1, name="line")), ["u", "v", "w"], noted())
    assert list(frame.columns) == names
    assert frame.to_numpy().tolist() == [["1", "2", "3", "4"], ["5", "6", "7", "8"]]
    assert frame.index.tolist() == list(range(len(rows) - 1, len(rows) + 1))


def test_lines_of_another_length_are_named():
    problems = noted()
    frame = pairs(pd.Series(["1 2", "3", "4 5"], index=pd.Index([1, 2, 5], name="line")), ["u", "v"], problems)
    assert frame.index.tolist() == [1, 5]
    assert "2 fields (u, v) (1 bad, line 2)" in problems.found[0]


def numbered(rows):
    return pd.Series(rows, index=pd.RangeIndex(1, len(rows) + 1, name="line"), dtype=object)


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_a_quote_that_nothing_closes_is_named_and_hides_no_other_line(mark):
    problems = noted()
    rows = [
        ["u", "v", "note"],
        ["1", "2", '"a b"'],
        ["1", "3", '"12'],
        ["2", '"2', "x"],
        ["3", "4", '5"'],
        ["3", "9", '"'],
    ]
    frame = delimited(numbered([mark.join(row) for row in rows]), mark, None, problems)
    assert frame.index.tolist() == [2, 5]
    assert frame.to_numpy().tolist() == [["1", "2", "a b"], ["3", "4", '5"']]
    (said,) = problems.found
    assert "(3 bad, line 3, 4, 6); close or remove the quote" in said


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.csv", 'user,item,note\n1,2,ok\n1,3,"12\n2,2,ok\n', "line 3"),
        ("x.csv", 'user,item,note\n1,2,"ok\n1,3,ok\n2,2,"ok\n', "line 2, 4"),
        ("x.tsv", 'user\titem\tnote\n1\t2\tok\n1\t3\t"Great\n', "line 3"),
        ("x.inter", 'user_id:token\titem_id:token\tname:token\n1\t2\t"x\n2\t3\ty\n', "line 2"),
        ("x.csv", "user,user,item\n1,1,2\n", "different names"),
    ],
)
def test_a_reader_says_so_with_its_own_error(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InvalidInteractions, match=said):
        read(tmp_path / name)


def test_all_lines_may_have_an_open_quote():
    problems = noted()
    frame = delimited(numbered(['1,"2', '3,"4']), ",", ["u", "v"], problems)
    assert frame.shape == (0, 2)
    assert "(2 bad, line 1, 2)" in problems.found[0]


def test_columns_with_one_name_are_told_with_the_bad_lines():
    with pytest.raises(InvalidInput, match=r"(?s)3 fields \(user, user, item\) \(1 bad, line 3\).*different names"):
        delimited(numbered(["user,user,item", "1,1,2", "2,2"]), ",", None, noted())


@given(
    st.lists(st.lists(st.text('"",a \'1', max_size=4), min_size=2, max_size=2).map(",".join), min_size=1, max_size=5)
)
def test_lines_are_read_one_by_one_whatever_their_quotes(rows):
    """Against the csv module, which refuses a line that ends inside quotes and rather more."""
    rows = [row for row in rows if row.strip()]
    problems = noted()
    frame = delimited(numbered(["u,v", *rows]), ",", None, problems)
    read = {line: [field.strip() for field in next(csv.reader([row]))] for line, row in enumerate(rows, start=2)}
    assert frame.to_numpy().tolist() == [read[line] for line in frame.index]
    for line in set(read) - set(frame.index):
        if len(read[line]) == 2:
            with pytest.raises(csv.Error):
                next(csv.reader([rows[line - 2]], strict=True))
