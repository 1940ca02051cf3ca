"""Parquet files: told by how they begin, their metadata, read and written as a whole."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unlearn import durable
from unlearn.invalid import InvalidInput

ANY_SIZE = 2**31 - 1
"""Bytes of metadata that reading must allow: every id may be in there, and Arrow refuses 100 MB unless told."""


def is_parquet(path: Path) -> bool:
    """Whether a file begins like Parquet."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def metadata(path: Path) -> Mapping[bytes, bytes]:
    """What was written with the table of a file; nothing where it is not Parquet, or not whole."""
    if is_parquet(path):
        with suppress(pa.ArrowException, OSError), pq.ParquetFile(path, thrift_string_size_limit=ANY_SIZE) as file:
            return file.schema_arrow.metadata or {}
    return {}


def read(path: Path) -> Any:
    """The Arrow table of a file, with its metadata.

    Raises:
        InvalidInput: the file is damaged.
    """
    try:
        return pq.read_table(path, thrift_string_size_limit=ANY_SIZE)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"`{path}` must be whole Parquet (got an error: {error}); restore it, or write it again"
        ) from error


def write(path: Path, table: Any, *, mode: int = 0o600) -> None:
    """Put an Arrow table in the place of whatever the file held; see `unlearn.durable.replace`."""
    content = io.BytesIO()
    pq.write_table(table, content)
    durable.replace(path, content.getvalue(), mode=mode)
