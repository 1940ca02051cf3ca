"""RecBole's atomic files: which columns are meant, and the properties of users and items."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recsys.data.readers.table import Columns
from recsys.errors import InvalidInteractions
from unlearn.invalid import Problems
from unlearn.tables.atomic import atomic
from unlearn.tables.columns import whole_or_text
from unlearn.tables.text import read_lines


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
