"""Searches files and objects for what must be gone: raw bytes, and everything that the formats encode or compress."""

from __future__ import annotations

import base64
import pickle
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def spellings(canary: str | float) -> list[bytes]:
    """A 128-bit id (32 hexadecimal digits) or a random double, in every way that a file might spell it."""
    if isinstance(canary, float):
        return [np.float64(canary).tobytes(), repr(canary).encode()]
    parsed = uuid.UUID(canary)
    texts = [canary, canary.upper(), str(parsed)]
    return [*(t.encode() for t in texts), canary.encode("utf-16-le"), parsed.bytes, parsed.bytes_le]


def holders(root: Path, canaries: Iterable[str | float]) -> set[str]:
    """Files below `root`, by their path in it, that hold any of the canaries; also where only a name holds one."""
    wanted = [spelling for canary in canaries for spelling in spellings(canary)]
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if any(spelling in part for part in _contents(path) for spelling in wanted)
    }


def in_object(thing: Any, canaries: Iterable[str | float]) -> bool:
    """Whether anything that `thing` refers to, caches included, holds any of the canaries."""
    content = pickle.dumps(thing)
    return any(spelling in content for canary in canaries for spelling in spellings(canary))


def _contents(path: Path) -> Iterator[bytes]:
    yield path.name.encode()
    if not path.is_file():
        return
    raw = path.read_bytes()
    yield raw
    if raw[:4] == b"PAR1":
        yield from _parquet(path)


def _parquet(path: Path) -> Iterator[bytes]:
    """Values after decompression, whole dictionaries, statistics, and metadata, where Arrow keeps a copy in base64."""
    metadata = pq.read_metadata(path)
    for key, value in (metadata.metadata or {}).items():
        yield base64.b64decode(value) if key == b"ARROW:schema" else value
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            statistics = metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.has_min_max:
                yield from _spelled([statistics.min, statistics.max])
    texts = [field.name for field in pq.read_schema(path) if pa.types.is_string(field.type)]
    table = pq.read_table(path, read_dictionary=texts)
    for column in table.columns:
        for chunk in column.chunks:
            # A dictionary may hold more than its column refers to.
            stored = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
            yield from _spelled(stored.to_pylist())


def _spelled(values: list[Any]) -> Iterator[bytes]:
    yield "\n".join(map(repr, values)).encode()
