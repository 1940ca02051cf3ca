"""A social graph as a Parquet file, rows and arcs numbered as they are, without anything of what left it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from unlearn.tables.parquet import metadata, read, write
from unlearn.vocabulary import Vocabulary

_NODES = b"unlearn.nodes"


def to_parquet(graph: SocialGraph, path: str | Path) -> None:
    """One file with ids, arcs and probabilities, in place of whatever it held.

    Of an arc that left, its place among those of its target stays, for coins are named by places. From whom it came
    is not written: it points from its target to itself, which no arc does.
    """
    columns = {
        "source": np.where(graph.alive, graph.source, graph.target),
        "target": graph.target,
        "probability": graph.probability,
        "alive": graph.alive,
    }
    table = pa.table(columns).replace_schema_metadata({_NODES: json.dumps(graph.nodes.to_json()).encode()})
    write(Path(path), table)


def from_parquet(path: str | Path) -> SocialGraph:
    """The graph that `to_parquet` wrote.

    Raises: InvalidGraph when the file is another.
    """
    path = Path(path)
    if _NODES not in metadata(path):
        raise InvalidGraph(f"`{path.name}` must be a file of `to_parquet` (got another); read it with `read`")
    table = read(path)
    nodes = Vocabulary.from_json(json.loads(table.schema.metadata[_NODES]))
    source, target, probability, alive = (table.column(name).to_numpy() for name in table.column_names)
    in_ptr = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=len(nodes)))]).astype(np.int64)
    return SocialGraph(nodes, in_ptr, source.astype(np.int32), probability.astype(np.float64), alive.astype(np.bool_))
