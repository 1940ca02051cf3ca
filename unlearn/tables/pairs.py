"""Text with a pair of ids on each line and perhaps more, in whichever dialect."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from unlearn.invalid import Problems
from unlearn.tables.atomic import atomic, is_atomic
from unlearn.tables.text import NUMBER, delimited, fields, separator

_NAMES = "source target src dst from to user friend follower followee truster trustor trustee node fromnode tonode"
# Usual names of the two columns, lower case without separators.
USUAL = {
    *(name + end for name in _NAMES.split() for end in ("", "id")),
    *(name + end for name in ("user", "userid", "node", "nodeid", "id") for end in ("1", "2")),
    *("u", "v"),
}
LOOKED_AT = 1000  # lines


def pairs(
    lines: pd.Series[str], names: Sequence[str], problems: Problems, *, header: bool | None = None
) -> pd.DataFrame:
    """Frame of text of a RecBole file, or of a delimited table.

    `header` says whether the first line names the columns; None takes it for names where they are usual ones, or stand
    above numbers. Columns without names get `names`, those beyond them their place.
    """
    first: str = lines.iloc[0]
    if is_atomic(first):
        return atomic(lines, problems)[0]
    found = fields(first)
    if header is None:
        header = _is_header(lines)
    named = [*names, *(f"field {place}" for place in range(len(names) + 1, len(found) + 1))][: len(found)]
    return delimited(lines, separator(first), None if header else named, problems)


def _is_header(lines: pd.Series[str]) -> bool:
    """Whether the first line has names: text where all others have numbers, or usual names unlike the ids below."""
    first, *rest = (fields(line)[:2] for line in lines.iloc[:LOOKED_AT])
    if any(NUMBER.fullmatch(field) for field in first):
        return False
    if rest and all(NUMBER.fullmatch(field) for row in rest for field in row):
        return True
    usual = {re.sub(r"[^a-z0-9]", "", field.lower()) for field in first} <= USUAL
    return usual and set(map(_form, first)).isdisjoint(_form(field) for row in rest for field in row)


def _form(name: str) -> str:
    """The name with one digit in place of every number: ids are often numbered, as in `user1` and `user2`."""
    return re.sub(r"\d+", "0", name)
