"""A frame of interactions -> canonical arrays, with every problem of the input reported at once."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.errors import InvalidInteractions
from unlearn.invalid import Problems
from unlearn.tables.columns import id_column, id_rows, number_column, time_column
from unlearn.vocabulary import Vocabulary

Duplicates = Literal["raise", "first", "last", "sum"]


def compile_frame(
    frame: pd.DataFrame,
    columns: dict[str, str | None],
    *,
    ties: pd.DataFrame | None,
    users: Vocabulary | None,
    items: Vocabulary | None,
    duplicates: Duplicates,
) -> dict[str, Any]:
    """Fields of `Interactions` from a frame; `columns` maps user, item, weight and time to column names.

    Raises:
        InvalidInteractions: listing every problem of the frame and of the ties.
    """
    problems = Problems(str(frame.attrs.get("source", "the frame")), InvalidInteractions)
    if duplicates not in ("raise", "first", "last", "sum"):
        problems.add(f'`duplicates` must be "raise", "first", "last" or "sum" (got {duplicates!r})')
    absent = [f"`{name}`" for name in columns.values() if name is not None and name not in frame.columns]
    if not frame.columns.is_unique:
        problems.add(f"columns must have different names (got {list(frame.columns)}); rename them")
        problems.fail()
    if absent:
        have = ", ".join(f"`{name}`" for name in frame.columns)
        problems.add(f"columns {', '.join(absent)} must exist (got {have}); name the columns that hold them")
    elif not len(frame):
        problems.add("there must be at least one interaction (got none); check that this is the right file or table")
    present = {key: frame[name] for key, name in columns.items() if name is not None and name in frame.columns}
    user_ids, user_ok = id_column(present.get("user"), len(frame), "user", problems)
    item_ids, item_ok = id_column(present.get("item"), len(frame), "item", problems)
    weight = number_column(present.get("weight"), "weight", problems)
    time = time_column(present.get("time"), "time", problems)
    pairs = None if ties is None else _tie_ids(ties, problems)

    if users is None:
        valid = user_ids[user_ok]
        if pairs is not None and len(valid) and len(pairs[0]) and valid.dtype != pairs[0].dtype:
            problems.add("user ids must be all int or all str in interactions and ties; convert them to str first")
            pairs = None
        users = _vocabulary([valid, *(pairs or ())])
    items = _vocabulary([item_ids[item_ok]]) if items is None else items
    user_rows = _rows(users, user_ids, user_ok, frame.index, "user", problems)
    item_rows = _rows(items, item_ids, item_ok, frame.index, "item", problems)

    ok = (user_rows >= 0) & (item_rows >= 0)
    key = np.where(ok, user_rows * len(items) + item_rows, -1 - np.arange(len(frame)))
    repeated = pd.Series(key).duplicated().to_numpy()
    if duplicates == "raise":
        remedy = "remove them, or say which counts (`--duplicates`, or duplicates=... from Python: first, last or sum)"
        problems.rows(repeated, frame.index, "a user and item must occur together only once", remedy)
    tie_rows = None
    if ties is not None and pairs is not None:
        tie_rows = _tie_rows(ties, pairs, users, duplicates, problems)
    problems.raise_any()
    return {
        "users": users,
        "items": items,
        **_canonical(user_rows, item_rows, weight, time, len(users), key, duplicates if repeated.any() else "raise"),
        "ties": tie_rows,
    }


def _canonical(
    user_rows: NDArray[np.int64],
    item_rows: NDArray[np.int64],
    weight: NDArray[np.float64] | None,
    time: NDArray[np.float64] | None,
    n_users: int,
    key: NDArray[np.int64],
    duplicates: Duplicates,
) -> dict[str, Any]:
    """CSR arrays from rows in any order; `duplicates` other than "raise" joins equal keys."""
    order = np.argsort(key, kind="stable")
    if duplicates != "raise":
        change = np.diff(key[order]) != 0
        first, last = np.r_[True, change], np.r_[change, True]
        if duplicates == "sum":
            amounts = np.ones(len(key)) if weight is None else weight
            total = np.add.reduceat(amounts[order], np.flatnonzero(first))
            weight = amounts.copy()
            weight[order[last]] = total
        order = order[first if duplicates == "first" else last]
    indptr = np.zeros(n_users + 1, dtype=np.int64)
    np.cumsum(np.bincount(user_rows[order], minlength=n_users), out=indptr[1:])
    return {
        "indptr": indptr,
        "indices": item_rows[order],
        "weight": None if weight is None else weight[order].astype(np.float32),
        "time": None if time is None else time[order],
    }


def _vocabulary(parts: list[NDArray[Any]]) -> Vocabulary:
    parts = [part for part in parts if len(part)]
    return Vocabulary(np.sort(pd.unique(np.concatenate(parts))) if parts else [])


def _rows(
    vocabulary: Vocabulary,
    ids: NDArray[Any],
    ok: NDArray[np.bool_],
    index: pd.Index[Any],
    name: str,
    problems: Problems,
) -> NDArray[np.int64]:
    required = f"`{name}` must be in the given vocabulary"
    remedy = "drop these rows, or let the vocabulary include their ids"
    return id_rows(vocabulary, ids, ok, index, problems, required, remedy)


def _tie_ids(ties: pd.DataFrame, problems: Problems) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Ids at both ends of the valid ties, or None when there is a problem, which is noted."""
    if ties.shape[1] != 2:
        problems.add(f"ties must have two columns of user ids (got {ties.shape[1]}); keep source and target only")
        return None
    before = len(problems.found)
    source, _ = id_column(ties.iloc[:, 0], len(ties), "ties, first column", problems)
    target, _ = id_column(ties.iloc[:, 1], len(ties), "ties, second column", problems)
    if len(source) and source.dtype != target.dtype:
        problems.add("both columns of ties must be int or both str; convert them to str first")
    return None if len(problems.found) > before else (source, target)


def _tie_rows(
    ties: pd.DataFrame,
    pairs: tuple[NDArray[Any], NDArray[Any]],
    users: Vocabulary,
    duplicates: Duplicates,
    problems: Problems,
) -> NDArray[np.int64]:
    known = np.ones(len(ties), dtype=np.bool_)
    ends = [
        _rows(users, ids, known, ties.index, f"ties, {place} column", problems)
        for ids, place in zip(pairs, ("first", "second"), strict=True)
    ]
    remedy = "drop these rows"
    problems.rows((ends[0] == ends[1]) & (ends[0] >= 0), ties.index, "a tie must join two different users", remedy)
    rows = np.column_stack(ends)
    if duplicates == "raise":
        repeated = pd.DataFrame(rows).duplicated().to_numpy() & (rows >= 0).all(axis=1)
        remedy = "drop these rows, or let one count (`--duplicates first`, or duplicates=... from Python)"
        problems.rows(repeated, ties.index, "a tie must occur only once", remedy)
    return np.unique(rows, axis=0)
