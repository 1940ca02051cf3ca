"""Text files: delimited tables with or without a header, and LightGCN's one line a user."""

from __future__ import annotations

import csv
from io import StringIO
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from unlearn.invalid import Problems


def read_lines(path: Path, problems: Problems) -> pd.Series[str]:
    """Lines that are not blank, without line ends, indexed by their number from 1."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        problems.add(f"the text must be UTF-8 (got byte {error.object[error.start]:#x} at {error.start}); convert it")
        problems.fail()
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbers:
        problems.add("there must be at least one line (got an empty file); check that this is the right file")
        problems.fail()
    return pd.Series([lines[n - 1] for n in numbers], index=pd.Index(numbers, name="line"), dtype=object)


def delimited(
    lines: pd.Series[str], separator: str | None, names: list[str] | None, problems: Problems
) -> pd.DataFrame:
    """Frame of text [lines, fields]; the first line is the header unless `names` are given.

    A `separator` of None is any run of white space, "::" is MovieLens' own. Lines with another number of fields than
    the header are noted.
    """
    rows = lines.tolist()
    if separator is None:
        rows, separator = ["\t".join(row.split()) for row in rows], "\t"
    elif separator == "::":
        rows, separator = [row.replace("::", "\t") for row in rows], "\t"
    index = lines.index
    if names is None:
        names, rows, index = _fields(rows[0], separator), rows[1:], index[1:]
    counts = np.fromiter(
        (len(_fields(row, separator)) if '"' in row else row.count(separator) + 1 for row in rows), np.int64, len(rows)
    )
    good = counts == len(names)
    problems.rows(~good, index, f"a line must have {len(names)} fields ({', '.join(names)})", "correct these lines")
    if not good.any():
        return pd.DataFrame(columns=names, index=index[:0], dtype=str)
    text = StringIO("\n".join(row for row, kept in zip(rows, good, strict=True) if kept))
    frame = pd.read_csv(text, sep=separator, header=None, names=names, dtype=str, keep_default_na=False)
    frame.index = index[good]
    return frame.apply(lambda column: column.str.strip())


def _fields(row: str, separator: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([row], delimiter=separator))]


def one_line_a_user(lines: pd.Series[str], problems: Problems) -> pd.DataFrame:
    """LightGCN's text: a user and its items on each line, whole numbers; columns user and item, one row an item."""
    tokens = [line.split() for line in lines]
    try:
        numbers = np.array([int(token) for token in chain.from_iterable(tokens)], dtype=np.int64)
    except (ValueError, OverflowError):
        bad = np.array([not all(token.lstrip("-").isdigit() for token in row) for row in tokens])
        remedy = "correct these lines, or name the right format"
        problems.rows(bad, lines.index, "a line must be a user and its items in whole numbers", remedy)
        problems.fail()
    counts = np.fromiter(map(len, tokens), np.int64, len(tokens))
    is_user = np.zeros(len(numbers), dtype=np.bool_)
    is_user[np.cumsum(counts) - counts] = True
    line = pd.Index(np.repeat(lines.index.to_numpy(), counts - 1), name="line")
    return pd.DataFrame({"user": np.repeat(numbers[is_user], counts - 1), "item": numbers[~is_user]}, index=line)
