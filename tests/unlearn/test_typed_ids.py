"""Ids as they are typed are read as a line of CSV is; the `csv` module, which writes such lines, is the oracle."""

from __future__ import annotations

import csv
import io

import pytest

from unlearn.typed_ids import pairs, separated, typed

IDS = ["42", "u1", "Doe, Jane", 'the "best"', " outer blanks ", "a\nb", ",", '"', "ä;b", "x=y:z"]


def line(*ids: str) -> str:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="").writerow(ids)
    return written.getvalue()


def test_whatever_can_be_written_as_csv_can_be_named() -> None:
    assert separated(line(*IDS)) == IDS
    problems: list[str] = []
    every = [(a, b) for a in IDS for b in IDS]
    assert pairs("tie", "USER,USER", [line(*one) for one in every], problems) == every
    assert problems == []


def test_what_is_shown_can_be_typed_again() -> None:
    assert separated(typed(IDS)) == IDS
    assert typed([42, "u 1", "Doe, Jane"]) == '42, u 1, "Doe, Jane"'


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("1,2", ["1", "2"]),
        ("1, 2", ["1", "2"]),
        ("", []),
        ("one", ["one"]),
        ("a,,b", ["a", "", "b"]),
        ('5" tall', ['5" tall']),
    ],
)
def test_plain_ids_need_no_quotes(text: str, ids: list[str]) -> None:
    assert separated(text) == ids


def test_every_text_that_is_no_pair_is_told() -> None:
    problems: list[str] = []
    found = pairs("interaction", "USER,ITEM", ["1,2", "3", "Doe, Jane,42", '"open,4', '"a"b,c', ""], problems)
    assert found == [("1", "2")]
    assert [one.split("(got ")[1].split(")")[0] for one in problems] == [
        "'3'", "'Doe, Jane,42'", "'\"open,4'", "'\"a\"b,c'", "''"
    ]  # fmt: skip
    assert all("`interaction` must be USER,ITEM" in one and "double quotes" in one for one in problems)
    with pytest.raises(ValueError, match="double quotes"):
        separated('"open,4')
