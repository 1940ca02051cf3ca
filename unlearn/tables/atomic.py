"""RecBole's atomic files: tab-separated with a typed header (`user_id:token`, `rating:float`, `class:token_seq`)."""

from __future__ import annotations

import re

import pandas as pd

from unlearn.invalid import Problems
from unlearn.tables.text import delimited

_TYPED = re.compile(r"[^\t:]+:(token|float)(_seq)?(\t|$)")
_TYPES = ("token", "token_seq", "float", "float_seq")


def is_atomic(line: str) -> bool:
    """Whether a file's first line is such a header."""
    return _TYPED.match(line) is not None


def atomic(lines: pd.Series[str], problems: Problems) -> tuple[pd.DataFrame, dict[str, str]]:
    """Text of an atomic file, and the type of each column."""
    header = [field.strip() for field in lines.iloc[0].split("\t")]
    types = {name: kind for name, _, kind in (field.rpartition(":") for field in header)}
    for field in header:
        if field.rpartition(":")[2] not in _TYPES or not field.rpartition(":")[0]:
            problems.add(f"a column must be `name:type` with type {', '.join(_TYPES)} (got `{field}`); correct it")
    if len(types) < len(header):
        problems.add(f"columns must have different names (got {', '.join(header)}); correct the header")
    if problems.found:
        problems.fail()
    return delimited(lines.iloc[1:], "\t", list(types), problems), types
