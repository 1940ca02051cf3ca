"""What a format's reader hands on: a frame whose index names the lines, and which column plays which part."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pandas as pd

from unlearn.invalid import Problems

# Usual names of columns, lower case without separators; the first column that matches plays the part.
_NAMES = {
    "user": ("user", "userid", "uid", "reviewerid", "sourceid"),
    "item": ("item", "itemid", "iid", "movieid", "artistid", "businessid", "productid", "asin", "trackid", "bookid"),
    "weight": ("weight", "count", "plays", "listens"),
    "rating": ("rating", "stars", "score"),
    "time": ("time", "timestamp", "unixreviewtime", "ts"),
}


@dataclass(frozen=True)
class Columns:
    """Names of the columns that play each part; None leaves the choice to the usual names."""

    user: str | None = None
    item: str | None = None
    weight: str | None = None
    rating: str | None = None
    time: str | None = None


@dataclass(frozen=True)
class Table:
    """A frame with one row an interaction, indexed by line (or row), and its columns' parts."""

    frame: pd.DataFrame
    columns: Columns


def find_columns(frame: pd.DataFrame, asked: Columns, problems: Problems) -> Columns:
    """The asked columns, completed by their usual names; what is missing is noted."""
    usual = {re.sub(r"[^a-z]", "", str(name).lower()): str(name) for name in reversed(frame.columns)}
    found = {
        part: getattr(asked, part) or next((usual[name] for name in names if name in usual), None)
        for part, names in _NAMES.items()
    }
    have = ", ".join(f"`{name}`" for name in frame.columns)
    for part, name in found.items():
        if name is None and part in ("user", "item"):
            problems.add(f"a column of {part} ids must be named (got {have}); pass {part}=...")
        elif name is not None and name not in frame.columns:
            problems.add(f"column `{name}` must exist (got {have}); correct {part}=...")
    return replace(asked, **found)
