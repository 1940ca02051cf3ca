"""LightGCN's text: one line a user."""

from __future__ import annotations

import re
from itertools import chain

import numpy as np
import pandas as pd

from unlearn.invalid import Problems
from unlearn.vocabulary import INTEGER

_ROW = re.compile(rf"(\s*({INTEGER.pattern}))(\s+({INTEGER.pattern}))*\s*")  # `int` would take 1_0 for 10


def one_line_a_user(lines: pd.Series[str], problems: Problems) -> pd.DataFrame:
    """LightGCN's text: a user and its items on each line, whole numbers; columns user and item, one row an item."""
    tokens = [line.split() for line in lines]
    try:
        if not all(map(_ROW.fullmatch, lines)):
            raise ValueError
        numbers = np.array([int(token) for token in chain.from_iterable(tokens)], dtype=np.int64)
    except (ValueError, OverflowError):
        bad = np.array([not all(map(_is_int64, row)) for row in tokens])
        required = "a line must be a user and its items in 64-bit whole numbers"
        remedy = (
            "correct these lines (7 is written so, not 007, +7 or 0_7), name the right format, or bring other ids as a "
            "table with columns user and item"
        )
        problems.rows(bad, lines.index, required, remedy)
        problems.fail()
    counts = np.fromiter(map(len, tokens), np.int64, len(tokens))
    is_user = np.zeros(len(numbers), dtype=np.bool_)
    is_user[np.cumsum(counts) - counts] = True
    line = pd.Index(np.repeat(lines.index.to_numpy(), counts - 1), name="line")
    return pd.DataFrame({"user": np.repeat(numbers[is_user], counts - 1), "item": numbers[~is_user]}, index=line)


def _is_int64(token: str) -> bool:
    return INTEGER.fullmatch(token) is not None and -(2**63) <= int(token) < 2**63
