"""One column of a frame -> ids or numbers, with every bad row noted."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearn.invalid import Problems
from unlearn.vocabulary import INTEGER, Vocabulary

_Valid = NDArray[np.bool_]


def id_column(column: pd.Series[Any] | None, size: int, name: str, problems: Problems) -> tuple[NDArray[Any], _Valid]:
    """Ids of a column as int64 or object of str [size], and the mask of the valid ones; problems are noted."""
    nothing = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.bool_)
    if column is None:
        return nothing
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(np.asarray(column), column.index)  # of whatever type holds what is missing, too
    if pd.api.types.is_bool_dtype(column):
        problems.add(f"`{name}` must hold ids (got booleans); name the column that holds them")
        return nothing
    missing = np.array(column.isna(), dtype=np.bool_)
    numeric = pd.api.types.is_numeric_dtype(column)
    ids, good = _whole(column, missing) if numeric else _objects(column, missing)
    remedy = (
        "pass ids that fit int64 (floats hold them below 2**53 only, single precision below 2**24), or convert the "
        "column to str"
    )
    problems.rows(~(good | missing), column.index, f"`{name}` must hold whole numbers, or strings, not both", remedy)
    problems.rows(missing, column.index, f"`{name}` must not be missing", "drop these rows or fill in the id")
    if ids.dtype == np.int64:
        negative = good & (ids < 0)
        remedy = "pass ids of at least 0, or convert them to str"
        problems.rows(negative, column.index, f"`{name}` must not be negative", remedy)
        good = good & ~negative
    return ids, good


def id_rows(
    vocabulary: Vocabulary,
    ids: NDArray[Any],
    valid: _Valid,
    index: pd.Index[Any],
    problems: Problems,
    required: str,
    remedy: str,
) -> NDArray[np.int64]:
    """Row of each id [n]; -1 where it is not valid, or unknown, which is noted."""
    rows = np.full(len(ids), -1, dtype=np.int64)
    rows[valid] = vocabulary.rows(ids[valid], unknown="mark")
    problems.rows(valid & (rows < 0), index, required, remedy)
    return rows


def _whole(column: pd.Series[Any], missing: _Valid) -> tuple[NDArray[Any], _Valid]:
    """Numbers as int64; those with a fraction, infinite or too large are invalid."""
    kind: Any = getattr(column.dtype, "numpy_dtype", column.dtype)
    floats = isinstance(kind, np.dtype) and kind.kind == "f"  # as precise as they are
    real = column.to_numpy(dtype=kind if floats else np.float64, na_value=np.nan)
    good = ~missing
    if pd.api.types.is_unsigned_integer_dtype(column):
        good &= real < 2.0**63
    elif not pd.api.types.is_integer_dtype(column):
        good &= _exact(real)
    ids = np.zeros(len(column), dtype=np.int64)
    ids[good] = column[good].to_numpy(dtype=np.int64)
    return ids, good


def _exact(real: NDArray[np.floating[Any]]) -> _Valid:
    """Which floats are one whole number and no other: from 2 to the digits of the type on, each stands for several."""
    return (real == np.floor(real)) & (np.abs(real) < 2.0 ** (np.finfo(real.dtype).nmant + 1))


def _objects(column: pd.Series[Any], missing: _Valid) -> tuple[NDArray[Any], _Valid]:
    """Strings, or Python's ints where there is no string; a blank string counts as missing (marked in `missing`)."""
    values: NDArray[Any] = column.to_numpy(dtype=object)
    text = np.fromiter((isinstance(value, str) for value in values), np.bool_, len(values))
    blank = np.fromiter((isinstance(value, str) and not value.strip() for value in values), np.bool_, len(values))
    missing |= blank
    text &= ~blank
    if text.any():
        return np.where(text, values, ""), text
    number = np.fromiter((_is_int(value) for value in values), np.bool_, len(values))
    return np.where(number, values, 0).astype(np.int64), number


def _is_int(value: Any) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and -(2**63) <= int(value) < 2**63


def numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """The numbers of a column [n], be they written as text; NaN for what is none, and a date or a duration is none."""
    if column.dtype.kind in "mMc" or isinstance(column.dtype, pd.PeriodDtype):
        return np.full(len(column), np.nan, dtype=np.float64)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def number_column(column: pd.Series[Any] | None, name: str, problems: Problems) -> NDArray[np.float64] | None:
    """Finite numbers of a column as float64; bad rows are noted."""
    if column is None:
        return None
    if pd.api.types.is_datetime64_any_dtype(column):
        problems.add(f"`{name}` must hold numbers (got dates); convert them to seconds first")
        return None
    parsed = numbers(column)
    remedy = "drop these rows or correct the value"
    problems.rows(~np.isfinite(parsed), column.index, f"`{name}` must hold finite numbers", remedy)
    return parsed


def time_column(column: pd.Series[Any] | None, name: str, problems: Problems) -> NDArray[np.float64] | None:
    """Times as float64: numbers as they are, dates as seconds since 1970; bad rows are noted.

    Dates may be text in ISO 8601; those without a zone are taken for UTC. Beside numbers they are bad rows, for the
    unit of the numbers may be another.
    """
    if column is None:
        return None
    times = numbers(column)
    if np.isnan(times).all():
        times = _since_1970(column)
    required = f"`{name}` must hold finite numbers, or dates like 2024-01-31 or 2024-01-31T18:30:00Z"
    remedy = "correct the value, drop these rows, or leave the column out if nothing needs the order"
    problems.rows(~np.isfinite(times), column.index, required, remedy)
    return times


def _since_1970(dates: pd.Series[Any]) -> NDArray[np.float64]:
    """Seconds; NaN where there is no date."""
    if not pd.api.types.is_datetime64_any_dtype(dates):
        dates = dates.astype(str)  # a period, too, is written as its date
    parsed = pd.to_datetime(dates, format="ISO8601", utc=True, errors="coerce")
    parsed = parsed.astype("datetime64[us, UTC]")  # of nanoseconds 64 bits hold no year 3000
    seconds: Any = (parsed - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds()
    return seconds.to_numpy(dtype=np.float64)


def whole_or_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Ids read as text become int when every one is a whole number that prints as it was written ("007" is text)."""
    codes, unique = pd.factorize(column.to_numpy(dtype=object))
    whole = all(isinstance(value, str) and INTEGER.fullmatch(value) for value in unique)
    if whole and len(unique) and (codes >= 0).all():
        with suppress(OverflowError):  # beyond 64 bits they are text
            ids = np.array([int(value) for value in unique], dtype=np.int64)
            return pd.Series(ids[codes], index=column.index, name=column.name)
    return column


def same_kind(columns: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Id columns that share a vocabulary: all int, or all text as soon as one of them is.

    Numbers of any type become int64. A column with a number that cannot stays as it is: `id_column` names its rows.
    """
    columns = [_int64(column) for column in columns]
    if all(column.dtype.kind in "iuf" for column in columns):
        return columns
    return [column.astype(str).astype(object) if column.dtype.kind == "i" else column for column in columns]


def _int64(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype.kind not in "iuf":
        return column
    if column.dtype.kind == "u" and not (column < 2**63).all():
        return column
    if column.dtype.kind == "f" and not _exact(column).all():
        return column
    return column.astype(np.int64, copy=False)
