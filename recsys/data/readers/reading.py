"""`read` and `read_split`: files or a folder -> interactions on one vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from recsys.data.frames import Duplicates
from recsys.data.interactions import Interactions
from recsys.data.readers.formats import Format, kept_ratings, read_table, read_ties
from recsys.data.readers.layouts import Layout, find_layout
from recsys.data.readers.snapshot import from_parquet, is_snapshot, own_ties
from recsys.data.readers.table import Columns, Table
from recsys.data.splits import Split, given
from recsys.errors import InvalidInteractions
from unlearn.invalid import Problems
from unlearn.tables.columns import same_kind
from unlearn.vocabulary import Vocabulary


@dataclass(frozen=True)
class _Options:
    format: Format | None
    columns: Columns
    threshold: float | None
    duplicates: Duplicates
    left_out: Callable[[int], object] | None = None


def read(
    path: str | Path,
    *,
    format: Format | None = None,
    user: str | None = None,
    item: str | None = None,
    weight: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    ties: str | Path | None = None,
    threshold: float | None = 4.0,
    duplicates: Duplicates = "raise",
    validation: float = 0.1,
    seed: int = 0,
    left_out: Callable[[int], object] | None = None,
) -> Interactions | Split:
    """Interactions of a file, or of a folder in a known layout; a folder with a published split gives a `Split`.

    The format is found by content, unless named. `user` to `time` name columns that have unusual names. Ratings of at
    least `threshold` become interactions, the others are left out; None keeps all, as weights, which no model reads.
    Ids that are whole numbers become int, any other id makes the whole vocabulary str. Items of a published test that
    its training part never saw are kept; `read_split` can refuse them. `validation` and `seed` as in `splits.given`.
    `left_out` is told how many ratings were below the threshold. What `to_parquet` wrote comes back as it was, with its
    ties, unless columns or other ties are named.

    Raises:
        InvalidInteractions: listing every problem of every file, with line numbers.
    """
    path = Path(path)
    options = _Options(format, Columns(user, item, weight, rating, time), threshold, duplicates, left_out)
    if not (path.is_file() or path.is_dir()):  # a pipe gives what it has once, and it is looked at more than once
        raise InvalidInteractions(
            f"`{path}` must be a file or a folder that exists, and no pipe; correct its name, or write a file first"
        )
    layout = find_layout(path) if path.is_dir() else Layout(path, None, None, None)
    if ties is not None or own_ties(layout.train):  # a snapshot's own ties go before others in its folder
        layout = replace(layout, ties=None if ties is None else Path(ties))
    if layout.test is not None:
        return _split(layout, options, "keep", validation, seed)
    return _parts({"train": layout.train}, layout.ties, options)[0]["train"]


def read_split(
    train: str | Path,
    test: str | Path,
    *,
    validation_file: str | Path | None = None,
    ties: str | Path | None = None,
    unseen: Literal["raise", "keep"] = "raise",
    format: Format | None = None,
    columns: Columns | None = None,
    threshold: float | None = 4.0,
    duplicates: Duplicates = "raise",
    validation: float = 0.1,
    seed: int = 0,
) -> Split:
    """A published split on one vocabulary; without a validation file, a share of train becomes validation.

    `unseen` says what to do with ids that are in test or validation and never in train.

    Raises:
        InvalidInteractions: listing every problem of every file, with line numbers.
    """
    options = _Options(format, columns or Columns(), threshold, duplicates)
    held, tie_path = (None if path is None else Path(path) for path in (validation_file, ties))
    return _split(Layout(Path(train), held, Path(test), tie_path), options, unseen, validation, seed)


def _split(files: Layout, options: _Options, unseen: Literal["raise", "keep"], validation: float, seed: int) -> Split:
    named = {"train": files.train, "validation": files.validation, "test": files.test}
    paths = {name: path for name, path in named.items() if path is not None}
    parts, tables = _parts(paths, files.ties, options)
    problems = Problems("this split", InvalidInteractions)
    for name in list(paths)[1:]:
        _check_held_out(name, paths[name], parts, tables, unseen, problems)
    problems.raise_any()
    if "validation" in parts:
        return Split(parts["train"], parts["validation"], parts["test"])
    return given(parts["train"], parts["test"], validation=validation, seed=seed)


def _check_held_out(
    name: str,
    path: Path,
    parts: Mapping[str, Interactions],
    tables: Mapping[str, Table],
    unseen: Literal["raise", "keep"],
    problems: Problems,
) -> None:
    """Notes interactions that are in a part before it too and, under `unseen="raise"`, ids that train never has."""
    file = f"{path.name}: "
    frame, columns, train = tables[name].frame, tables[name].columns, parts["train"]
    users = train.users.rows(frame[columns.user].to_numpy())
    items = train.items.rows(frame[columns.item].to_numpy())
    for other in list(parts)[: list(parts).index(name)]:
        required = f"{file}an interaction must not be in {other} too"
        problems.rows(parts[other].contains(users, items), frame.index, required, "remove it from one of them")
    if unseen == "keep":
        return
    for side, rows, degree in zip(("user", "item"), (users, items), train.degrees(), strict=True):
        remedy = 'remove these lines, or pass unseen="keep"'
        problems.rows(degree[rows] == 0, frame.index, f"{file}every {side} must occur in train", remedy)


def _parts(
    paths: Mapping[str, Path], ties: Path | None, options: _Options
) -> tuple[dict[str, Interactions], dict[str, Table]]:
    """Parts on one vocabulary and the tables of those that are held out; our own snapshots stay as they were written.

    Snapshots that were not written as the parts of one split are compiled like any other tables.
    """
    plain = ties is None and options.columns == Columns() and options.format in (None, "parquet")
    if plain and all(map(is_snapshot, paths.values())):
        parts = {name: from_parquet(path) for name, path in paths.items()}
        train = parts["train"]
        if all(part.users == train.users and part.items == train.items for part in parts.values()):
            columns = Columns("user", "item")
            return parts, {name: Table(part.frame(), columns) for name, part in parts.items() if name != "train"}
    return _compile(paths, own_ties(paths["train"]) if ties is None else ties, options)


def _compile(
    paths: Mapping[str, Path], ties_path: Path | None, options: _Options
) -> tuple[dict[str, Interactions], dict[str, Table]]:
    """Parts on one vocabulary and the tables they came from; every problem of every file is raised together."""
    found: list[str] = []
    tables: dict[str, Table] = {}
    for name, path in paths.items():
        problems = Problems(path.name, InvalidInteractions)
        try:
            table = read_table(path, options.format, options.columns, problems)
            table = kept_ratings(table, options.threshold, options.duplicates, problems)
        except InvalidInteractions:
            table = None
        found += [f"{path.name}: {problem}" for problem in problems.found]
        if table is not None and {table.columns.user, table.columns.item} <= set(table.frame.columns):
            tables[name] = table
    ties: pd.DataFrame | None = None
    if ties_path is not None:
        problems = Problems(ties_path.name, InvalidInteractions)
        with suppress(InvalidInteractions):  # it is in `problems`
            ties = read_ties(ties_path, problems)
            # What is wrong with them as ties of users is told among the problems of train.
            ties.index.name = f"{ties_path.name}, {ties.index.name or 'row'}"
        found += [f"{ties_path.name}: {problem}" for problem in problems.found]
    tables, ties = _one_kind(tables, ties)
    parts: dict[str, Interactions] = {}
    for name, table in tables.items():
        try:
            parts[name] = _interactions(table, ties if name == "train" else None, options.duplicates)
        except InvalidInteractions as error:
            found += [f"{paths[name].name}: {problem}" for problem in error.problems]
    if found or len(tables) < len(paths):
        message = "\n  - ".join(["these files cannot be read as interactions:", *found])
        raise InvalidInteractions(message, found)
    if options.left_out is not None:
        options.left_out(sum(table.below for table in tables.values()))
    return _one_vocabulary(parts), tables


def _interactions(table: Table, ties: pd.DataFrame | None, duplicates: Duplicates) -> Interactions:
    columns = table.columns
    return Interactions.from_frame(
        table.frame,
        user=str(columns.user),
        item=str(columns.item),
        weight=columns.weight,
        time=columns.time,
        ties=ties,
        duplicates=duplicates,
    )


def _one_kind(tables: dict[str, Table], ties: pd.DataFrame | None) -> tuple[dict[str, Table], pd.DataFrame | None]:
    """The same tables and ties, with users all int or all str, and items likewise."""
    frames = {name: table.frame.copy() for name, table in tables.items()}
    ties = None if ties is None else ties.copy()
    items = [(frame, tables[name].columns.item) for name, frame in frames.items()]
    users = [(frame, tables[name].columns.user) for name, frame in frames.items()]
    users += [] if ties is None else [(ties, name) for name in ties.columns]
    for columns in (users, items):
        for (frame, name), ids in zip(columns, same_kind([f[n].to_numpy() for f, n in columns]), strict=True):
            frame[name] = ids
    return {name: replace(tables[name], frame=frame) for name, frame in frames.items()}, ties


def _one_vocabulary(parts: dict[str, Interactions]) -> dict[str, Interactions]:
    """The parts over the ascending union of their ids; rows keep their order, so arrays stay canonical."""
    if len(parts) == 1:
        return parts
    union: dict[str, Vocabulary] = {}
    for side in ("users", "items"):
        ids: Any = np.concatenate([getattr(part, side).ids for part in parts.values()])
        union[side] = Vocabulary(np.sort(pd.unique(ids)))
    users, items = union["users"], union["items"]
    joined: dict[str, Interactions] = {}
    ties = None
    for name, part in parts.items():
        rows = users.rows(part.users.ids)
        degrees = np.zeros(len(users), dtype=np.int64)
        degrees[rows] = np.diff(part.indptr)
        # Only train was read with the ties; they belong to every part.
        ties = rows[part.ties] if part.ties is not None else ties
        joined[name] = replace(
            part,
            users=users,
            items=items,
            indptr=np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64),
            indices=items.rows(part.items.ids)[part.indices],
            ties=ties,
        )
    return joined
