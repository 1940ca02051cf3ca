"""A graph written out, whatever the numbers of its rows and arcs."""

from __future__ import annotations

from typing import Any

from graph_influence.graph import SocialGraph
from tests.oracles.cascades import ends


def listed(graph: SocialGraph) -> list[tuple[Any, Any, float]]:
    """External ids of both ends and the probability of every arc that is there, in order."""
    ids = graph.nodes.take(range(graph.num_nodes))
    arcs = zip(ends(graph), graph.probability.tolist(), graph.alive, strict=True)
    return sorted((ids[tail], ids[head], p) for (tail, head), p, alive in arcs if alive)
