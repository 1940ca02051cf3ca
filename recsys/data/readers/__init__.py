"""Readers: one format a file; `read` finds the format by content."""

from __future__ import annotations

from recsys.data.readers.pyg import from_edge_index, from_hetero
from recsys.data.readers.reading import read, read_split
from recsys.data.readers.recbole import read_features
from recsys.data.readers.snapshot import from_parquet
from recsys.data.readers.table import Columns

__all__ = ["Columns", "from_edge_index", "from_hetero", "from_parquet", "read", "read_features", "read_split"]
