"""Units by where they stand in the graph: the baselines, all but the last blind to where the rumour starts."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from graph_influence.graph import SocialGraph
from graph_influence.maximize.heuristics import pagerank, wrong_damping
from graph_influence.minimize.base import Minimizer, register
from graph_influence.outbreak import Outbreak
from unlearn.streams import uniforms


@dataclass(frozen=True, kw_only=True)
class Ranking(Minimizer):
    """A method that scores every unit once and takes the highest; of equals the first."""

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        worth = np.where(outbreak.removable, self.scores(outbreak), -np.inf)
        return np.argsort(-worth, kind="stable")[:budget].tolist()

    @abstractmethod
    def scores(self, outbreak: Outbreak) -> NDArray[np.float64]:
        """Scores [k], the highest of which are taken."""


@register
@dataclass(frozen=True, kw_only=True)
class Random(Ranking):
    """Any units: what a method must beat, and what shows how noisy a referee is."""

    name = "random"

    def scores(self, outbreak: Outbreak) -> NDArray[np.float64]:
        return uniforms(self.seed, "blocked at random", np.arange(outbreak.units))


@register
@dataclass(frozen=True, kw_only=True)
class OutDegree(Ranking):
    """Arcs between nodes that many arcs leave (the sum of both), or those nodes.

    Kimura, Saito and Motoda, "Blocking links to minimize contamination spread in a social network" (TKDD 2009), among
    its baselines.
    """

    name = "out_degree"

    def scores(self, outbreak: Outbreak) -> NDArray[np.float64]:
        return _of_both_ends(outbreak, outbreak.graph.out_degree().astype(np.float64))


@register
@dataclass(frozen=True, kw_only=True)
class PageRank(Ranking):
    """Arcs between nodes of high PageRank (the sum of both), or those nodes; walks go against the arcs.

    Page, Brin, Motwani and Winograd, "The PageRank citation ranking" (1999).
    """

    name = "pagerank"

    damping: float = 0.85

    def _wrong(self) -> list[str]:
        return wrong_damping(self.damping)

    def scores(self, outbreak: Outbreak) -> NDArray[np.float64]:
        return _of_both_ends(outbreak, pagerank(outbreak.graph, self.damping))


@register
@dataclass(frozen=True, kw_only=True)
class KeyEdge(Ranking):
    """Arcs whose removal lowers the leading eigenvalue of the probability matrix most.

    Tong, Prakash, Eliassi-Rad, Faloutsos and Faloutsos, "Gelling, and melting, large graphs by edge manipulation"
    (CIKM 2012): the left eigenvector at the tail times the right one at the head, both by power iteration to 1e-6.

    Differences from the paper:
        - Iterations are on the matrix plus the identity, which turns no cycle into an oscillation, and at most 1,000.
    """

    name = "key_edge"
    units = ("arcs",)

    def scores(self, outbreak: Outbreak) -> NDArray[np.float64]:
        matrix = probabilities(outbreak.graph)
        left, right = (_leading(one, outbreak.graph.num_nodes) for one in (matrix.T.tocsr(), matrix))
        return left[outbreak.graph.source] * right[outbreak.graph.target]


@register
@dataclass(frozen=True, kw_only=True)
class SeedAdjacent(Ranking):
    """Units next to the seeds, by how probably they carry the rumour on and to how many.

    An arc from a seed scores p (1 + out-degree of its head); a node (1 - prod of 1 - p over arcs from seeds)
    (1 + out-degree). It costs nothing and knows the seeds: no comparison of methods means much without it.
    """

    name = "seed_adjacent"

    def scores(self, outbreak: Outbreak) -> NDArray[np.float64]:
        graph = outbreak.graph
        reach = 1.0 + graph.out_degree().astype(np.float64)
        near = outbreak.seeded[graph.source] & ~outbreak.seeded[graph.target]
        p = np.where(near, graph.probability, 0.0)
        if outbreak.unit == "arcs":
            return p * reach[graph.target]
        survives = np.ones(graph.num_nodes)
        np.multiply.at(survives, graph.target, 1 - p)
        return (1 - survives) * reach


def probabilities(graph: SocialGraph) -> csr_array:
    """The matrix of arc probabilities, [n, n], from row to column."""
    n = graph.num_nodes
    return csr_array((graph.probability, (graph.source, graph.target)), shape=(n, n))


def _of_both_ends(outbreak: Outbreak, by_node: NDArray[np.float64]) -> NDArray[np.float64]:
    graph = outbreak.graph
    return by_node[graph.source] + by_node[graph.target] if outbreak.unit == "arcs" else by_node


def _leading(matrix: csr_array, n: int) -> NDArray[np.float64]:
    """The leading right eigenvector of a non-negative matrix [n, n], of norm 1."""
    vector = np.full(n, n**-0.5)
    for _ in range(1_000):
        before, vector = vector, matrix @ vector + vector
        vector /= np.linalg.norm(vector)
        if np.linalg.norm(vector - before) <= 1e-6:
            break
    return vector
