"""RecBole's atomic files: tab-separated with a typed header (`user_id:token`, `rating:float`, `class:token_seq`)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recsys.data.readers.table import Columns, whole_or_text
from recsys.data.readers.text import delimited, read_lines
from recsys.errors import InvalidInteractions
from unlearn.invalid import Problems

_TYPES = ("token", "token_seq", "float", "float_seq")


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


def atomic_columns(types: dict[str, str], asked: Columns) -> Columns:
    """The first two token columns are user and item, whatever their names, unless asked otherwise."""
    tokens = [name for name, kind in types.items() if kind == "token"]
    first, second = [*tokens, None, None][:2]
    return Columns(asked.user or first, asked.item or second, asked.weight, asked.rating, asked.time)


def read_features(path: str | Path) -> pd.DataFrame:
    """Properties of users or items (.user, .item): tokens as int or str, floats, sequences as lists.

    Raises: InvalidInteractions listing every problem of the file.
    """
    path = Path(path)
    problems = Problems(path.name, InvalidInteractions)
    frame, types = atomic(read_lines(path, problems), problems)
    for name, kind in types.items():
        if kind == "token":
            frame[name] = whole_or_text(frame[name])
        elif kind == "float":
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
        else:
            number = float if kind == "float_seq" else str
            lists = [[number(value) for value in text.split()] for text in frame[name]]
            frame[name] = pd.Series(lists, frame.index, dtype=object)
    problems.raise_any()
    return frame
