"""SciPy's sparse matrices."""

from __future__ import annotations

from typing import Any

from scipy.sparse import coo_array, sparray, spmatrix

from graph_influence.arcs import Parallel
from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from unlearn.vocabulary import Vocabulary


def from_scipy(
    matrix: sparray | spmatrix, *, nodes: Vocabulary | None = None, parallel: Parallel = "first"
) -> SocialGraph:
    """A graph whose arc from u to v has the probability at row u and column v; what is not stored is no arc.

    Ids are the row numbers, unless `nodes` are given.

    Raises: InvalidGraph when the matrix is not square, or listing every entry that is no probability.
    """
    entries: Any = coo_array(matrix)
    n = len(nodes) if nodes is not None else int(entries.shape[0])
    if entries.shape != (n, n):
        raise InvalidGraph(f"the matrix must have a row and a column for each of {n} nodes (got {entries.shape})")
    return SocialGraph.from_arcs(
        entries.row, entries.col, entries.data, nodes=n if nodes is None else nodes, parallel=parallel
    )
