"""What is in the tables of an SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path


def rows(file: Path) -> list[tuple[str, str]]:
    """Every row of every table: the table's name, and the row as text."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        named = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(name, repr(row)) for name in named for row in connection.execute(f'SELECT * FROM "{name}"')]


def tables_with(file: Path, canaries: Iterable[str]) -> set[str]:
    """The tables that hold any of the canaries."""
    wanted = list(canaries)
    return {name for name, row in rows(file) if any(canary in row for canary in wanted)}
