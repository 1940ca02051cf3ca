"""Readers: one format a file; `read` finds the format of a text by content."""

from __future__ import annotations

from graph_influence.readers.networkx import from_networkx
from graph_influence.readers.pyg import from_edge_index, from_pyg
from graph_influence.readers.reading import Format, read
from graph_influence.readers.sparse import from_scipy

__all__ = ["Format", "from_edge_index", "from_networkx", "from_pyg", "from_scipy", "read"]
