"""RecBole's atomic files: which columns are meant, and the properties of users and items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys.data.readers.table import Columns, usual_column
from recsys.errors import InvalidInteractions
from unlearn.invalid import Problems
from unlearn.tables.atomic import atomic
from unlearn.tables.columns import whole_or_text
from unlearn.tables.text import NUMBER, read_lines


def atomic_columns(types: dict[str, str], asked: Columns) -> Columns:
    """Tokens with the usual names are user and item, otherwise the first two, unless asked otherwise.

    Where one of the two is known, the other is the first token after it, or else before it.
    """
    tokens = [name for name, kind in types.items() if kind == "token"]
    user = asked.user or usual_column("user", [name for name in tokens if name != asked.item])
    item = asked.item or usual_column("item", [name for name in tokens if name != user])
    user = user or _beside(item, tokens)
    item = item or _beside(user, tokens)
    return Columns(user, item, asked.weight, asked.rating, asked.time)


def _beside(known: str | None, tokens: list[str]) -> str | None:
    """The token column after the known one, in a circle; the first when none is known."""
    place = tokens.index(known) + 1 if known in tokens else 0
    return next((name for name in tokens[place:] + tokens[:place] if name != known), None)


def read_features(path: str | Path) -> pd.DataFrame:
    """Properties of users or items (.user, .item): tokens as int or str, floats, sequences as lists.

    Raises:
        InvalidInteractions: listing every problem of the file.
    """
    path = Path(path)
    problems = Problems(path.name, InvalidInteractions)
    frame, types = atomic(read_lines(path, problems), problems)
    for name, kind in types.items():
        if kind == "token":
            frame[name] = whole_or_text(frame[name])
        elif kind == "token_seq":
            frame[name] = pd.Series([text.split() for text in frame[name]], frame.index, dtype=object)
        else:
            frame[name] = _numbers(frame[name], several=kind == "float_seq", problems=problems)
    problems.raise_any()
    return frame


def _numbers(column: pd.Series[str], *, several: bool, problems: Problems) -> pd.Series[Any]:
    """The number of each field, NaN where it is empty, or the list of `several`; bad rows are noted."""
    fields = [text.split() for text in column]
    wrong = [not (several or len(field) <= 1) or not all(map(NUMBER.fullmatch, field)) for field in fields]
    required = f"`{column.name}` must hold {'numbers' if several else 'a number'}"
    problems.rows(
        np.array(wrong, dtype=np.bool_), column.index, required, "correct these lines, or leave the field empty"
    )
    numbers = [[] if bad else [float(value) for value in field] for field, bad in zip(fields, wrong, strict=True)]
    if several:
        return pd.Series(numbers, column.index, dtype=object)
    return pd.Series([values[0] if values else np.nan for values in numbers], column.index, dtype=np.float64)
