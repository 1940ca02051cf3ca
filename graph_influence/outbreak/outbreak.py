"""What is to be contained: a rumour that starts from seeds, on a graph from which arcs or nodes may be taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graph_influence.diffusion import Model
from graph_influence.graph import SocialGraph

Unit = Literal["arcs", "nodes"]
_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Outbreak:
    """Seeds by row [s] on a graph; `unit` says what is taken away: "a unit" is the id of an arc or the row of a node.

    A blocked node keeps its id, but nobody activates it: it is a node that was removed.
    """

    graph: SocialGraph
    seeds: NDArray[np.int64]
    unit: Unit = "arcs"
    model: Model = "ic"

    @property
    def units(self) -> int:
        """Number of arcs or nodes, tombstones included: the k of every [k]."""
        return self.graph.num_arcs if self.unit == "arcs" else self.graph.num_nodes

    @cached_property
    def removable(self) -> NDArray[np.bool_]:
        """Which units may be taken, [k]: arcs that are there, or nodes that are there and no seeds."""
        return self.graph.alive if self.unit == "arcs" else self.graph.nodes.alive & ~self.seeded

    @cached_property
    def seeded(self) -> NDArray[np.bool_]:
        """Which nodes are seeds, [n]."""
        return np.isin(np.arange(self.graph.num_nodes), self.seeds)

    @cached_property
    def adjacent(self) -> NDArray[np.bool_]:
        """Which units stand next to a seed, [k]: arcs from a seed to somebody else, or the nodes that they lead to."""
        graph = self.graph
        arcs = graph.alive & self.seeded[graph.source] & ~self.seeded[graph.target]
        return arcs if self.unit == "arcs" else np.bincount(graph.target[arcs], minlength=graph.num_nodes) > 0

    def without(self, chosen: Iterable[int]) -> SocialGraph:
        """The graph that is left when these units are gone."""
        gone = np.array(list(chosen), dtype=np.int64)
        return self.graph.without_rows(*((_NONE, gone) if self.unit == "arcs" else (gone, _NONE)))

    def gone(self, chosen: Iterable[int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Marks of arcs [m] and of nodes [n] among the chosen units."""
        arcs, nodes = np.zeros(self.graph.num_arcs, dtype=np.bool_), np.zeros(self.graph.num_nodes, dtype=np.bool_)
        (arcs if self.unit == "arcs" else nodes)[list(chosen)] = True
        return arcs, nodes
