"""What a format's reader hands on: a frame whose index names the lines, and which column plays which part."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    """A frame with one row an interaction, indexed by line (or row), and its columns' parts.

    `below` is how many ratings were left out, for they were below the threshold.
    """

    frame: pd.DataFrame
    columns: Columns
    below: int = 0


def usual_column(part: str, columns: Iterable[str]) -> str | None:
    """The column that plays a part by its usual name, None where there is none; the first of those of one name."""
    # Digits stay: `user1` above `user2` is an id in a file without a header, or what begins a line of JSON.
    usual = {re.sub(r"[^a-z0-9]", "", str(name).lower()): str(name) for name in reversed(list(columns))}
    return next((usual[name] for name in _NAMES[part] if name in usual), None)


def find_columns(frame: pd.DataFrame, asked: Columns, problems: Problems) -> Columns:
    """The asked columns, completed by their usual names; what is missing is noted."""
    found = {part: getattr(asked, part) or usual_column(part, frame.columns) for part in _NAMES}
    have = ", ".join(f"`{name}`" for name in frame.columns)
    for part, name in found.items():
        if name is None and part in ("user", "item"):
            remedy = (
                f"rename it to `{part}`, name it (`--column {part}=...`, or {part}=... from Python), or where a text "
                "has no header, name its format (`--format movielens` with ratings, else `--format triples`)"
            )
            problems.add(f"a column of {part} ids must be named (got {have}); {remedy}")
        elif name is not None and name not in frame.columns:
            problems.add(f"column `{name}` must exist (got {have}); correct {part}=...")
    return replace(asked, **found)
