"""RecBole's atomic files: which columns are meant, and the properties of users and items."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recsys.data.readers.table import Columns, usual_column
from recsys.errors import InvalidInteractions
from unlearn.invalid import Problems
from unlearn.tables.atomic import atomic
from unlearn.tables.columns import whole_or_text
from unlearn.tables.text import read_lines


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
