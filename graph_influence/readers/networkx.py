"""NetworkX's graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from graph_influence.arcs import Parallel
from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from unlearn.invalid import InvalidInput, Problems
from unlearn.vocabulary import Vocabulary

if TYPE_CHECKING:
    import networkx as nx


def from_networkx(graph: nx.Graph[Any], *, probability: str | None = None, parallel: Parallel = "first") -> SocialGraph:
    """The same nodes in the same order; an undirected edge goes both ways. `probability` names an edge's attribute.

    Raises: InvalidGraph listing every problem: nodes that are neither int nor str, edges without the attribute.
    """
    try:
        nodes = Vocabulary(list(graph.nodes))
    except InvalidInput as error:
        raise InvalidGraph(f"nodes cannot be ids: {error}; relabel them", error.problems) from error
    edges: list[tuple[Any, ...]] = list(graph.edges() if probability is None else graph.edges(data=probability))
    frame = pd.DataFrame({name: [edge[side] for edge in edges] for side, name in enumerate(("source", "target"))})
    frame.index.name = "edge"
    if probability is not None:
        frame["probability"] = [edge[2] for edge in edges]
    return SocialGraph.from_frame(
        frame,
        probability=None if probability is None else "probability",
        nodes=nodes,
        undirected=not graph.is_directed(),
        parallel=parallel,
        problems=Problems("this NetworkX graph", InvalidGraph),
    )
