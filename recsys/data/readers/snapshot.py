"""Our own Parquet snapshot: rows and vocabularies exactly as they were written by `to_parquet`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.interactions import Interactions
from recsys.errors import InvalidInteractions
from unlearn.tables.parquet import metadata, read
from unlearn.vocabulary import Vocabulary

VOCABULARIES = {"users": b"unlearn.users", "items": b"unlearn.items"}


def ties_path(path: Path) -> Path:
    """Where the ties of a snapshot lie: `x.parquet` has them in `x.ties.parquet`."""
    return path.with_suffix(".ties.parquet")


def own_ties(path: Path) -> Path | None:
    """The ties that `to_parquet` wrote beside a file; None where it wrote none, or not this file."""
    ties = ties_path(path)
    return ties if ties.exists() and is_snapshot(path) else None


def is_snapshot(path: Path) -> bool:
    """Whether a file was written by `to_parquet`, and has its end."""
    return VOCABULARIES["users"] in metadata(path)


def from_parquet(path: str | Path) -> Interactions:
    """The interactions that `to_parquet` wrote: same rows, same tombstones, same digest.

    Raises:
        InvalidInteractions: the file is no snapshot.
        InvalidInput: it is one, and damaged.
        UnknownIds: its rows are not in its vocabularies.
    """
    path = Path(path)
    if not is_snapshot(path):
        raise InvalidInteractions(
            f"`{path.name}` must be a whole file of `to_parquet` (got another); read it with `read`"
        )
    table = read(path)
    stored: dict[bytes, bytes] = table.schema.metadata
    users, items = (Vocabulary.from_json(json.loads(stored[name])) for name in VOCABULARIES.values())
    columns: dict[str, Any] = {name: table.column(name) for name in table.column_names}
    user_rows, item_rows = _rows(users, columns["user"]), _rows(items, columns["item"])
    ties = None
    if ties_path(path).exists():
        pairs = read(ties_path(path))
        ties = np.column_stack([_rows(users, pairs.column(name)) for name in ("source", "target")])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user_rows, minlength=len(users)))]).astype(np.int64)
    return Interactions(
        users,
        items,
        indptr,
        item_rows,
        np.array(columns["weight"], dtype=np.float32) if "weight" in columns else None,
        np.array(columns["time"], dtype=np.float64) if "time" in columns else None,
        ties,
    )


def _rows(vocabulary: Vocabulary, column: Any) -> NDArray[np.int64]:
    """Row of each id of a column; each different one is made an object and looked up once."""
    coded = column.dictionary_encode(null_encoding="encode").combine_chunks()
    return vocabulary.rows(coded.dictionary.to_pylist())[coded.indices.to_numpy()]
