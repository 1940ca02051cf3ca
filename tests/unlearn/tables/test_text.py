from __future__ import annotations

import gzip

import pandas as pd
import pytest

from unlearn.invalid import InvalidInput, Problems
from unlearn.tables.pairs import pairs
from unlearn.tables.text import every_line, fields, read_lines


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


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff", "UTF-8"), (gzip.compress(b"x" * 99)[:-9], "whole"), (b"\n \n", "at least one line")]
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
