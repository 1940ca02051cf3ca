"""What a reverse-reachable set reads of a graph: the arcs into each node, with the places that they take in its draws.

A person or a tie that leaves must not change a draw that it had no part in. So an arc keeps the place that it had among
the arcs of its target, and under *frozen* probabilities it keeps the width of that place as well: a draw that lands
there finds nobody. Where the others' probabilities change with it (*renormalised*: one over the in-degree, say), the
places of that target are measured anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graph_influence.arcs import SLACK
from graph_influence.diffusion import Model
from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from unlearn.compiled import kernel
from unlearn.invalid import Problems

_UNEQUAL = -1.0  # the scale of a node with unequal arcs under IC; under LT it is 0, which is no reciprocal of a weight


@dataclass(frozen=True, slots=True, eq=False)
class InArcs:
    """Arcs e from `node[w].start` to `node[w + 1].start` run from `tail[e]` to w; a tail of -1 is nobody any more.

    Independent cascade ("ic"): `weight` is the probability, descending within a segment; at a tombstone that of the arc
    behind it, or its own where it was there when its target was last measured. `scale` of a node whose arcs are all of
    one probability p is -1 / ln(1 - p), from 0 for p = 1 to infinity for p = 0, and -1 of others.
    Linear threshold ("lt"): `weight` is the running sum of weights within the segment. `scale` is 1 / w where all are
    w, and 0 of other nodes.

    Shapes:
        node records of `start` int64 and `scale` float64 [n + 1], side by side because a draw reads both; tail int32
        [m]; weight float64 [m].
    """

    model: Model
    node: NDArray[np.void]
    tail: NDArray[np.int32]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, graph: SocialGraph, model: Model) -> InArcs:
        """Those of a graph, which keeps them: several stores of one graph read the same arrays.

        Raises:
            InvalidGraph: in-weights of a node sum to more than 1 under "lt".
        """
        kept: dict[Model, InArcs] = graph.__dict__.setdefault("in_arcs", {})
        if model in kept:
            return kept[model]
        node = np.zeros(graph.num_nodes + 1, dtype=[("start", np.int64), ("scale", np.float64)])
        node["start"] = graph.in_ptr
        tail = np.where(graph.alive, graph.source, np.int32(-1))
        arcs = cls(model, node, tail, np.empty(graph.num_arcs, dtype=np.float64))
        arcs._measure(np.arange(graph.num_nodes), graph)
        kept[model] = arcs
        return arcs

    def after(self, graph: SocialGraph, removed: NDArray[np.int64], reweighted: NDArray[np.int64]) -> InArcs:
        """Those of what is left: without the arcs `removed` [k], and with new places at the nodes `reweighted` [l].

        Raises:
            InvalidGraph: new in-weights of a node sum to more than 1 under "lt", or new probabilities of the arcs of
                a node do not descend under "ic".
        """
        tail = self.tail.copy()
        tail[removed] = -1
        node, weight = self.node, self.weight
        if len(reweighted):
            node, weight = node.copy(), weight.copy()
        arcs = InArcs(self.model, node, tail, weight)
        arcs._measure(reweighted, graph)
        return arcs

    def _measure(self, nodes: NDArray[np.int64], graph: SocialGraph) -> None:
        measure = _running_sums if self.model == "lt" else _probabilities
        bad = measure(nodes, self.node, self.tail, graph.probability, self.weight)
        if not bad.any():
            return
        if self.model == "lt":
            graph.require_weights()
        else:
            problems = Problems("these probabilities", InvalidGraph)
            problems.rows(
                bad,
                pd.Index(graph.nodes.ids[nodes], name="node"),
                "those of a node's in-arcs must keep their descending order",
                "make a new store of this graph",
            )
            problems.fail()


@kernel
def _probabilities(
    nodes: NDArray[np.int64],
    node: NDArray[np.void],
    tail: NDArray[np.int32],
    probability: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Fills weight and scale of the nodes' segments for IC; returns where probabilities do not descend."""
    bad = np.zeros(len(nodes), dtype=np.bool_)
    for k in range(len(nodes)):
        first, end = node["start"][nodes[k]], node["start"][nodes[k] + 1]
        # From the back, so that a tombstone takes the probability of the arc behind it.
        highest = lowest = 0.0
        met = False
        for arc in range(end - 1, first - 1, -1):
            if tail[arc] >= 0:
                p = probability[arc]
                if not met:
                    lowest, met = p, True
                bad[k] |= p < highest
                highest = p
            weight[arc] = highest
        if lowest < highest:
            node["scale"][nodes[k]] = _UNEQUAL
        elif highest >= 1.0:
            node["scale"][nodes[k]] = 0.0
        else:
            node["scale"][nodes[k]] = -1.0 / np.log1p(-highest) if highest > 0.0 else np.inf
    return bad


@kernel
def _running_sums(
    nodes: NDArray[np.int64],
    node: NDArray[np.void],
    tail: NDArray[np.int32],
    probability: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Fills weight and scale of the nodes' segments for LT; returns where weights sum to more than 1."""
    bad = np.zeros(len(nodes), dtype=np.bool_)
    for k in range(len(nodes)):
        first, end = node["start"][nodes[k]], node["start"][nodes[k] + 1]
        total = 0.0
        one = -1.0
        equal = True
        for arc in range(first, end):
            if tail[arc] >= 0:
                equal &= one < 0.0 or probability[arc] == one
                one = probability[arc]
                total += one
            weight[arc] = total
        bad[k] = total > 1.0 + SLACK
        # Tombstones keep a place beside arcs of one weight for as long as there is room for all.
        equal &= one > 0.0 and one * (end - first) <= 1.0 + SLACK
        node["scale"][nodes[k]] = 1.0 / one if equal else 0.0
    return bad
