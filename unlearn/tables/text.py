"""Text files: their lines, compressed or not, and delimited tables with or without a header."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from unlearn.invalid import Problems

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan", re.IGNORECASE)
_IN_QUOTES = re.compile(r'(?<![^\s,;:])"(?:[^"]|"")*"(?![^\s,;:])')
# What may be longer than one character between fields, or else, as a group, the quotes in which it separates nothing.
_LONGER = {mark: re.compile(rf"({_IN_QUOTES.pattern})|{between}") for mark, between in ((None, r"\s+"), ("::", "::"))}
_OPEN = -1  # in place of the number of fields, where a quote is not closed


def every_line(path: Path, problems: Problems) -> list[str]:
    """All lines without line ends; a file that gzip compressed is read through it, whatever its name."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            problems.add(f"the compressed file must be whole (got an error: {error}); fetch it again")
            problems.fail()
    try:
        text = StringIO(content.decode("utf-8-sig"), newline=None)
    except UnicodeDecodeError as error:
        problems.add(f"the text must be UTF-8 (got byte {error.object[error.start]:#x} at {error.start}); convert it")
        problems.fail()
    # Not `splitlines`, which also ends a line at characters that a title may hold, such as U+2028.
    return [line.removesuffix("\n") for line in text]


def read_lines(path: Path, problems: Problems) -> pd.Series[str]:
    """Lines that are not blank, without line ends, indexed by their number from 1."""
    lines = every_line(path, problems)
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbers:
        problems.add("there must be at least one line (got an empty file); check that this is the right file")
        problems.fail()
    return pd.Series([lines[n - 1] for n in numbers], index=pd.Index(numbers, name="line"), dtype=object)


def separator(line: str) -> str | None:
    """What lies between the fields of a line: "::", a tab, a comma, a semicolon, or None for any white space.

    What stands within the quotes of a field separates nothing.
    """
    bare = _IN_QUOTES.sub("", line) if '"' in line else line
    return next((mark for mark in ("::", "\t", ",", ";") if mark in bare), None)


def fields(line: str) -> list[str]:
    """The fields of a line, at its own separator, without the quotes around them."""
    row, mark = _with_one_mark(line.strip(), separator(line))
    return _quoted(row, mark)[0] if '"' in row else [field.strip() for field in row.split(mark)]


def delimited(
    lines: pd.Series[str], separator: str | None, names: list[str] | None, problems: Problems
) -> pd.DataFrame:
    """Frame of text [lines, fields]; the first line is the header unless `names` are given.

    A `separator` of None is any run of white space, "::" is MovieLens' own. Lines with another number of fields than
    the header, or with a quote that nothing closes, are noted and left out.

    Raises: the error of `problems` when two columns have the same name.
    """
    rows, index = lines.tolist(), lines.index
    if separator in (None, "::"):
        rows, separator = [_with_one_mark(row, separator)[0] for row in rows], "\t"
    if names is None:
        names, rows, index = _quoted(rows[0], separator)[0], rows[1:], index[1:]
    counts = np.fromiter(
        (_count(row, separator) if '"' in row else row.count(separator) + 1 for row in rows), np.int64, len(rows)
    )
    good = counts == len(names)
    open_ = counts == _OPEN
    required = "a field that begins with a quote must close it on the same line"
    problems.rows(open_, index, required, "close or remove the quote")
    required = f"a line must have {len(names)} fields ({', '.join(names)})"
    problems.rows(~good & ~open_, index, required, "correct these lines")
    if len(set(names)) < len(names):
        problems.add(f"columns must have different names (got {', '.join(names)}); correct the header")
        problems.fail()
    if not good.any():
        return pd.DataFrame(columns=names, index=index[:0], dtype=str)
    text = StringIO("\n".join(row for row, kept in zip(rows, good, strict=True) if kept))
    frame = pd.read_csv(text, sep=separator, header=None, names=names, dtype=str, keep_default_na=False)
    frame.index = index[good]
    return frame.apply(lambda column: column.str.strip())


def _with_one_mark(row: str, separator: str | None) -> tuple[str, str]:
    """The row with a mark of one character between its fields, and the mark."""
    if separator is not None and separator not in _LONGER:
        return row, separator
    if '"' in row:
        return _LONGER[separator].sub(lambda found: found[1] or "\t", row.strip()), "\t"
    return "\t".join(row.split(separator)), "\t"


def _count(row: str, separator: str) -> int:
    """How many fields a line with quotes has, or `_OPEN`."""
    found, closed = _quoted(row, separator)
    return len(found) if closed else _OPEN


def _quoted(row: str, separator: str) -> tuple[list[str], bool]:
    """The fields, and whether every quote is closed: if not, the reader asks for another line."""
    reader = csv.reader([row, ""], delimiter=separator)
    found = [field.strip() for field in next(reader)]
    return found, reader.line_num == 1
