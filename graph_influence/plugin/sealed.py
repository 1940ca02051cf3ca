"""The ties of people who leave, as they go under a seal, and put back into the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graph_influence.arcs import spans
from graph_influence.graph import SocialGraph
from graph_influence.network import Semantics
from graph_influence.schemes import weighted_cascade
from unlearn.forget import Id
from unlearn.staging import Sealed


def packed(graph: SocialGraph, people: Sequence[Id], arrived: int, *, since: str) -> Sealed:
    """What the graph holds of these people: rows, ids, their arcs with both ends; and how many ties came in since."""
    rows = graph.nodes.rows(people)
    arcs = arcs_of(graph, rows)
    arrays = {
        "rows": rows,
        "arcs": arcs,
        "source": graph.source[arcs],
        "target": graph.target[arcs],
        "probability": graph.probability[arcs],
    }
    return Sealed(since, tuple(people), {"people": len(people), "ties": len(arcs) + arrived}, arrays)


def arcs_of(graph: SocialGraph, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The arcs that go to or from these rows, ascending."""
    out_ptr, leaving = graph.out
    arcs = np.unique(np.concatenate([spans(graph.in_ptr, rows), leaving[spans(out_ptr, rows)]]))
    return arcs[graph.alive[arcs]]


def others(outstanding: Sequence[Sealed]) -> NDArray[np.int64]:
    """Rows of those with whom they had ties, themselves left out, ascending."""
    parts = [sealed.arrays for sealed in outstanding]
    empty = np.empty(0, dtype=np.int64)
    ends = np.concatenate([empty, *(part[side].astype(np.int64) for part in parts for side in ("source", "target"))])
    return np.setdiff1d(ends, np.concatenate([empty, *(part["rows"] for part in parts)]))


def put_back(remaining: SocialGraph, outstanding: Sequence[Sealed], semantics: Semantics) -> SocialGraph:
    """The graph as it was before these left it."""
    nodes, source, probability = remaining.nodes, remaining.source.copy(), remaining.probability.copy()
    alive = remaining.alive.copy()
    for sealed in outstanding:
        part = sealed.arrays
        nodes = nodes.restored(part["rows"], sealed.people)
        alive[part["arcs"]] = True
        source[part["arcs"]], probability[part["arcs"]] = part["source"], part["probability"]
    whole = replace(remaining, nodes=nodes, source=source, probability=probability, alive=alive)
    # Renormalised, what remained has the probabilities of what remained.
    return weighted_cascade(whole) if semantics == "renormalised" and outstanding else whole
