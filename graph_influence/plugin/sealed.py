"""The ties of people who leave, as bytes that go under a seal, and put back into the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graph_influence.arcs import spans
from graph_influence.graph import SocialGraph
from graph_influence.network import Semantics
from graph_influence.schemes import weighted_cascade
from unlearn.staging import packed as packed_arrays
from unlearn.staging import unpacked
from unlearn.vocabulary import Id


def packed(graph: SocialGraph, people: Sequence[Id], arrived: int) -> bytes:
    """What the graph holds of these people: rows, ids, their arcs with both ends; and how many ties came in since."""
    rows = graph.nodes.rows(people)
    out_ptr, leaving = graph.out
    arcs = np.unique(np.concatenate([spans(graph.in_ptr, rows), leaving[spans(out_ptr, rows)]]))
    arcs = arcs[graph.alive[arcs]]
    return packed_arrays(
        people,
        {
            "rows": rows,
            "arcs": arcs,
            "source": graph.source[arcs],
            "target": graph.target[arcs],
            "probability": graph.probability[arcs],
            "arrived": np.array([arrived]),
        },
    )


def ties(content: bytes) -> int:
    """How many arcs are in there, those that had come in since the version was made included."""
    arrays = unpacked(content)[1]
    return len(arrays["arcs"]) + int(arrays["arrived"][0])


def others(contents: Sequence[bytes]) -> NDArray[np.int64]:
    """Rows of those with whom they had ties, themselves left out, ascending."""
    parts = [unpacked(content)[1] for content in contents]
    empty = np.empty(0, dtype=np.int64)
    ends = np.concatenate([empty, *(part[side].astype(np.int64) for part in parts for side in ("source", "target"))])
    return np.setdiff1d(ends, np.concatenate([empty, *(part["rows"] for part in parts)]))


def put_back(remaining: SocialGraph, contents: Sequence[bytes], semantics: Semantics) -> SocialGraph:
    """The graph as it was before these left it."""
    nodes, source, probability = remaining.nodes, remaining.source.copy(), remaining.probability.copy()
    alive = remaining.alive.copy()
    for people, part in map(unpacked, contents):
        nodes = nodes.restored(part["rows"], people)
        alive[part["arcs"]] = True
        source[part["arcs"]], probability[part["arcs"]] = part["source"], part["probability"]
    whole = replace(remaining, nodes=nodes, source=source, probability=probability, alive=alive)
    # Renormalised, what remained has the probabilities of what remained.
    return weighted_cascade(whole) if semantics == "renormalised" and contents else whole
