"""What is a header above pairs of ids, and what is the first pair."""

from __future__ import annotations

import pandas as pd
import pytest

from unlearn.invalid import InvalidInput, Problems
from unlearn.tables.pairs import pairs


def frame(text: str, header: bool | None = None) -> pd.DataFrame:
    lines = text.split("/")
    index = pd.RangeIndex(1, len(lines) + 1, name="line")
    return pairs(pd.Series(lines, index=index, dtype=object), ["s", "t"], Problems("x", InvalidInput), header=header)


@pytest.mark.parametrize(
    "text",
    [
        "source,target/a,b",
        "from\tto\tweight/a\tb\t1",
        "User ID,friend_id/alice,12/12,bob",
        "user1;user2/alice;bob",
        "u v/a b",
        '"Source","Target"/a,b',
        "source,target",
        "left,right/1,2/3,4",
        "left right since/1 2 then",
    ],
)
def test_usual_names_and_text_above_numbers_are_a_header(text):
    read = frame(text)
    assert read.index.tolist() == list(range(2, text.count("/") + 2))
    assert "s" not in read.columns


@pytest.mark.parametrize(
    "text",
    [
        "a b/b c",
        "a,b",
        "alice,bob/1,2/carol,3",
        "alice 1/1 2",
        "1 2 since/3 4 then",
        "1 2/3 4",
        "user1 user2/user1 user3",
        "user1 user2/user3 user4",
        "u1 u2",
        "left,right/a,b",
        "source,b/a,b",
    ],
)
def test_any_other_first_line_is_a_pair(text):
    assert frame(text).index.tolist() == list(range(1, text.count("/") + 2))


def test_what_is_said_goes_before_what_is_seen():
    assert len(frame("source,target/a,b", header=False)) == 2
    assert len(frame("a,b/b,c", header=True)) == 1
