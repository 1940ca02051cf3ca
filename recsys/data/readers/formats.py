"""Which format a file is in, by its content, and its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.frames import Duplicates
from recsys.data.readers.lightgcn import one_line_a_user
from recsys.data.readers.recbole import atomic_columns
from recsys.data.readers.table import Columns, Table, find_columns
from unlearn.invalid import Problems
from unlearn.tables.atomic import atomic, is_atomic
from unlearn.tables.columns import numbers, whole_or_text
from unlearn.tables.pairs import pairs
from unlearn.tables.parquet import ANY_SIZE, is_parquet
from unlearn.tables.text import NUMBER, delimited, fields, read_lines, separator

Format = Literal["lightgcn", "triples", "recbole", "movielens", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)


def read_table(path: Path, format: Format | None, asked: Columns, problems: Problems) -> Table:
    """The table of one file; problems are noted, and raised at once where nothing can be read."""
    if format is not None and format not in FORMATS:
        problems.add(f"`format` must be one of {', '.join(FORMATS)} (got {format!r}); leave it out to detect it")
        problems.fail()
    if is_parquet(path) if format is None else format == "parquet":
        frame, kinds = _parquet(path, problems)
        # An index that pandas wrote by name, as of groups, is columns of the file like the others.
        indexed = [name for name in frame.index.names if name is not None and name not in frame.columns]
        frame = frame.reset_index(indexed) if indexed else frame
        columns = find_columns(frame, asked, problems)
        nested = [name for name in (columns.user, columns.item) if name in kinds and pa.types.is_nested(kinds[name])]
        for name in nested:
            problems.add(f"`{name}` must hold an id a row (got {kinds[name]}); name the column that holds them")
        if nested:
            problems.fail()
        return Table(frame, columns)
    lines = read_lines(path, problems)
    table = _READERS[format or detect(lines, problems)](lines, asked, problems)
    frame = table.frame.copy()
    for name in {table.columns.user, table.columns.item} - {None}:
        if name in frame.columns:
            frame[name] = whole_or_text(frame[name])
    return Table(frame, table.columns)


def _parquet(path: Path, problems: Problems) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table, and the Arrow type of each of its columns."""
    try:
        with pq.ParquetFile(path, thrift_string_size_limit=ANY_SIZE) as file:
            schema = file.schema_arrow
            names = schema.names
        if len(set(names)) < len(names):
            problems.add(f"columns must have different names (got {', '.join(names)}); rename them")
            problems.fail()
        return pd.read_parquet(path, thrift_string_size_limit=ANY_SIZE), dict(zip(names, schema.types, strict=True))
    except (pa.ArrowException, OSError) as error:
        problems.add(f"the file must be whole Parquet (got an error: {error}); write or fetch it again")
        problems.fail()


def detect(lines: pd.Series[str], problems: Problems) -> Format:
    """Format of a text file from its first thousand lines."""
    head = lines.iloc[:1000]
    first: str = head.iloc[0]
    if is_atomic(first):
        return "recbole"
    if "::" in first:
        return "movielens"
    rows = [fields(line) for line in head]
    if not all(NUMBER.fullmatch(field) for field in rows[0]):
        return "csv"
    # The third of four numbers, which a time follows, is a rating whatever separates them; of three it may be a count.
    table: Format = "movielens" if len(rows[0]) == 4 else "triples"
    if any(mark in first for mark in "\t,;"):
        return table
    counts = {len(row) for row in rows}
    # Two numbers a line mean the same in both formats; a user who comes twice cannot be LightGCN's.
    users = [row[0] for row in rows]
    if counts == {2} or (len(counts) == 1 and counts <= {3, 4} and len(set(users)) < len(users)):
        return table
    if len(counts) == 1 and counts <= {3, 4}:
        problems.add(
            f"the format must be plain from the content (got {counts.pop()} numbers on every line and no user twice: "
            f'{table}, or one line a user); pass format="{table}" or format="lightgcn"'
        )
        problems.fail()
    return "lightgcn"


def _lightgcn(lines: pd.Series[str], _asked: Columns, problems: Problems) -> Table:
    return Table(one_line_a_user(lines, problems), Columns("user", "item"))


def _triples(lines: pd.Series[str], asked: Columns, problems: Problems) -> Table:
    first: str = lines.iloc[0]
    names = ["user", "item", "weight", "time"][: len(fields(first))]
    frame = delimited(lines, separator(first), names, problems)
    return Table(frame, find_columns(frame, asked, problems))


def _recbole(lines: pd.Series[str], asked: Columns, problems: Problems) -> Table:
    frame, types = atomic(lines, problems)
    return Table(frame, find_columns(frame, atomic_columns(types, asked), problems))


def _movielens(lines: pd.Series[str], asked: Columns, problems: Problems) -> Table:
    """u.data and ratings.dat ("::"): user, item, rating, time; ratings.csv has a header that tells."""
    first: str = lines.iloc[0]
    if not any(map(NUMBER.fullmatch, fields(first))):
        return _csv(lines, asked, problems)
    names = ["user", "item", "rating", "time"][: len(fields(first))]
    frame = delimited(lines, separator(first), names, problems)
    return Table(frame, find_columns(frame, asked, problems))


def _csv(lines: pd.Series[str], asked: Columns, problems: Problems) -> Table:
    frame = delimited(lines, separator(lines.iloc[0]), None, problems)
    return Table(frame, find_columns(frame, asked, problems))


_READERS: dict[str, Callable[[pd.Series[str], Columns, Problems], Table]] = {
    "lightgcn": _lightgcn,
    "triples": _triples,
    "recbole": _recbole,
    "movielens": _movielens,
    "csv": _csv,
}


def read_ties(path: Path, problems: Problems) -> pd.DataFrame:
    """Two columns of user ids from a .net file, a Parquet table, or a text of pairs with or without a header."""
    if is_parquet(path):
        return _parquet(path, problems)[0].iloc[:, :2]
    frame = pairs(read_lines(path, problems), ["source", "target"], problems)
    return frame.iloc[:, :2].apply(whole_or_text)


def kept_ratings(table: Table, threshold: float | None, duplicates: Duplicates, problems: Problems) -> Table:
    """Ratings of at least `threshold` as bare interactions; all of them as weights when it is None.

    Of a pair that was rated again only the rating that counts is compared with it, and under "raise" all of them stay,
    to be refused.

    Raises:
        InvalidInteractions: every rating is below it.
    """
    name = table.columns.rating
    if name is None or name not in table.frame.columns:
        return table
    asked = table.columns
    if threshold is None:
        return Table(table.frame, Columns(asked.user, asked.item, asked.weight or name, None, asked.time))
    values = numbers(table.frame[name])
    remedy = "drop these rows or correct the value"
    problems.rows(~np.isfinite(values), table.frame.index, f"`{name}` must hold finite numbers", remedy)
    kept, low = values >= threshold, values < threshold
    ids = table.frame.filter(items=[asked.user, asked.item])  # a column that is missing has been noted
    if duplicates == "raise":
        kept |= ids.duplicated(keep=False).to_numpy()
    elif duplicates in ("first", "last"):
        counts = ~ids.duplicated(keep=duplicates).to_numpy()
        kept, low = kept & counts, low & counts
    below = int(low.sum())
    if below and not kept.any():
        problems.add(
            f"there must be at least one interaction (got none: all {below} ratings are below {threshold:g}); "
            "lower the threshold (`--threshold`, or threshold=... from Python)"
        )
        problems.fail()
    columns = Columns(asked.user, asked.item, asked.weight, None, asked.time)
    return Table(table.frame[kept], columns, below)
