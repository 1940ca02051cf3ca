"""Interactions -> files: a Parquet snapshot, or RecBole's atomic files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.data.interactions import Interactions
from recsys.data.readers.snapshot import VOCABULARIES, ties_path
from recsys.errors import InvalidInteractions
from unlearn import durable
from unlearn.tables import parquet
from unlearn.vocabulary import Vocabulary


def to_parquet(interactions: Interactions, path: str | Path) -> None:
    """One file with ids, weights, times and both vocabularies; ties in a second file beside it.

    What was forgotten is not written: a snapshot written after `without` holds no trace of it. Files are replaced
    whole, so that an interrupted write leaves the old snapshot, and old ties never outlive their data.

    Raises:
        ValueError: the name does not end in .parquet.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        raise ValueError(f"`path` must end in .parquet for `to_parquet` (got `{path.name}`)")
    columns = {
        "user": _array(interactions.users, interactions.user_rows()),
        "item": _array(interactions.items, interactions.item_rows()),
    }
    columns |= {
        name: pa.array(getattr(interactions, name))
        for name in ("weight", "time")
        if getattr(interactions, name) is not None
    }
    metadata = {name: json.dumps(getattr(interactions, side).to_json()).encode() for side, name in VOCABULARIES.items()}
    table = pa.table(columns).replace_schema_metadata(metadata)
    # Ties first: if the run ends between the two, the data and its vocabularies are still the old ones or the new.
    if interactions.ties is None:
        durable.remove(ties_path(path))
    else:
        ends = {
            name: _array(interactions.users, interactions.ties[:, k]) for k, name in enumerate(("source", "target"))
        }
        parquet.write(ties_path(path), pa.table(ends), mode=0o666)
    parquet.write(path, table, mode=0o666)


def to_inter(interactions: Interactions, path: str | Path) -> None:
    """RecBole's atomic files: `path` ends in .inter; ties go to the .net file of the same name.

    Raises:
        InvalidInteractions: an id holds a tab or a line break, which the format cannot write.
    """
    path = Path(path)
    if path.suffix != ".inter":
        raise ValueError(f"`path` must end in .inter for `to_inter` (got `{path.name}`)")
    bad = [
        value
        for vocabulary in (interactions.users, interactions.items)
        for value in vocabulary.ids[vocabulary.alive].tolist()
        if isinstance(value, str) and not _writable(value)
    ]
    if bad:
        raise InvalidInteractions(
            f"ids must be free of tabs, quotes, line breaks and outer spaces for `to_inter` ({len(bad)} are not: "
            f"{', '.join(map(repr, bad[:5]))}); rename them or use `to_parquet`"
        )
    names = {"user": "user_id:token", "item": "item_id:token", "weight": "weight:float", "time": "timestamp:float"}
    frame = interactions.frame().rename(columns=names)
    durable.replace(path, _atomic(frame), mode=0o666)
    net = path.with_suffix(".net")
    if interactions.ties is None:
        durable.remove(net)
        return
    ids = interactions.users.ids[interactions.ties]
    ties = pd.DataFrame({"source_id:token": ids[:, 0], "target_id:token": ids[:, 1]})
    durable.replace(net, _atomic(ties), mode=0o666)


def _writable(value: str) -> bool:
    return value == value.strip() and len(value.splitlines()) == 1 and not set(value) & {"\t", '"'}


def _atomic(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(sep="\t", index=False, lineterminator="\n").encode()


def _array(vocabulary: Vocabulary, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Any:
    kind = pa.int64() if vocabulary.kind == "int" else pa.string()
    return pa.array(vocabulary.ids[rows], type=kind)
