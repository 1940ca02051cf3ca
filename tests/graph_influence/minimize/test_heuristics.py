"""Baselines against other code for the same figures, or a graph whose figures are plain."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from graph_influence.minimize import Betweenness, KeyEdge, Mds, Outbreak, OutDegree, PageRank, Random, SeedAdjacent
from tests.oracles.cascades import ends


def some_graph(seed: int, n: int = 40) -> SocialGraph:
    random = np.random.default_rng(seed)
    return SocialGraph.from_arcs(*random.integers(n, size=(2, 4 * n)), random.uniform(size=4 * n), nodes=n)


def networkx(graph: SocialGraph) -> nx.DiGraph:
    found = nx.DiGraph()
    found.add_nodes_from(range(graph.num_nodes))
    found.add_edges_from(pair for pair, alive in zip(ends(graph), graph.alive, strict=True) if alive)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_betweenness_is_that_of_networkx(seed):
    graph = some_graph(seed).without_rows(np.array([3]), np.array([0, 5]))
    arcs = nx.edge_betweenness_centrality(networkx(graph), normalized=False)
    found = Betweenness().scores(Outbreak(graph, np.array([0])))
    for pair, alive, score in zip(ends(graph), graph.alive, found, strict=True):
        assert score == pytest.approx(arcs[pair] if alive else 0.0)
    nodes = nx.betweenness_centrality(networkx(graph), normalized=False)
    found = Betweenness(unit="nodes").scores(Outbreak(graph, np.array([0]), "nodes"))
    assert found.tolist() == pytest.approx([nodes[row] for row in range(graph.num_nodes)])


def ladder(layers: int) -> tuple[list[int], list[int]]:
    """Arcs from each of two nodes of a layer to both of the next."""
    arcs = [(2 * depth + a, 2 * depth + 2 + b) for depth in range(layers - 1) for a in (0, 1) for b in (0, 1)]
    return [tail for tail, _ in arcs], [head for _, head in arcs]


@pytest.mark.parametrize("layers", [4, 1_300])
def test_betweenness_knows_the_share_of_more_paths_than_a_float_can_count(layers):
    """In a ladder half of all paths take either node of a layer, by symmetry."""
    graph = SocialGraph.from_arcs(*ladder(layers), 0.5, nodes=2 * layers)
    found = Betweenness().scores(Outbreak(graph, np.array([0])))
    depth = graph.source // 2
    # From the tail itself to what is behind the head, and a half and a quarter from and to all layers beyond.
    before, behind = 2 * depth, 2 * (layers - 2 - depth)
    assert found == pytest.approx((1 + before / 2) * (1 + behind / 2), rel=1e-9)


def test_betweenness_knows_few_paths_beside_many():
    """A ladder and a line from one node to one node, both of 1,300 layers: nearly all paths take the ladder."""
    layers = 1_300
    (tails, heads), line = ladder(layers), range(2 * layers, 3 * layers)
    first, last = 3 * layers, 3 * layers + 1
    tails = [*tails, *line[:-1], first, first, first, 2 * layers - 2, 2 * layers - 1, line[-1]]
    heads = [*heads, *line[1:], 0, 1, line[0], last, last, last]
    graph = SocialGraph.from_arcs(tails, heads, 0.5, nodes=3 * layers + 2)
    found = dict(zip(ends(graph), Betweenness().scores(Outbreak(graph, np.array([first]))).tolist(), strict=True))
    for place in (0, 700, layers - 2):  # of the line: from whom to whom its own nodes are the only way
        to_last = place + 1  # from nodes on the line up to here
        expected = (place + 1 + 1) * (layers - 1 - place) + to_last
        assert found[line[place], line[place + 1]] == pytest.approx(expected)
    # Into the last: from its tail, from all behind it by half, from the first by half of nearly all.
    assert found[2 * layers - 2, last] == pytest.approx(1 + (2 * (layers - 1)) / 2 + 1 / 2)


def test_betweenness_from_some_nodes_is_on_average_that_from_all(monkeypatch):
    outbreak = Outbreak(some_graph(1).without_rows(np.array([3]), np.array([0])), np.array([0]))
    exact = Betweenness().scores(outbreak)
    third = 13  # of those who are there
    monkeypatch.setattr("graph_influence.minimize.betweenness._FEWEST", third)
    monkeypatch.setattr("graph_influence.minimize.betweenness._STEPS", third)
    found = np.array([Betweenness(seed=seed).scores(outbreak) for seed in range(400)])
    error = found.std(axis=0) / 20
    assert (np.abs(found.mean(axis=0) - exact) <= 4.5 * error + 1e-9).all()
    assert found.std(axis=0).max() > 0.1 * exact.max()  # the draws differ
    assert Betweenness(seed=5).scores(outbreak).tolist() == found[5].tolist()


def test_betweenness_does_not_depend_on_threads(monkeypatch):
    from numba.core import config

    outbreak, found = Outbreak(some_graph(0, 500), np.array([0])), []
    for threads in (1, 3):
        monkeypatch.setattr(config, "NUMBA_NUM_THREADS", threads)
        found.append(Betweenness().scores(outbreak).tolist())
    assert found[0] == found[1]


def test_key_edges_are_those_of_the_leading_eigenvectors():
    graph = some_graph(1)
    matrix = np.zeros((graph.num_nodes, graph.num_nodes))
    for (tail, head), p in zip(ends(graph), graph.probability, strict=True):
        matrix[tail, head] = p

    def leading(one: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eig(one)
        return np.abs(vectors[:, np.argmax(values.real)].real)

    left, right = leading(matrix.T), leading(matrix)
    wanted = [left[tail] * right[head] for tail, head in ends(graph)]
    np.testing.assert_allclose(KeyEdge().scores(Outbreak(graph, np.array([0]))), wanted, atol=1e-4)


def test_the_best_key_edge_lowers_the_leading_eigenvalue_most():
    graph = some_graph(2, 12)

    def eigenvalue(without: int | None) -> float:
        p = graph.probability.copy()
        if without is not None:
            p[without] = 0.0
        matrix = np.zeros((12, 12))
        matrix[graph.source, graph.target] = p
        return float(np.abs(np.linalg.eigvals(matrix)).max())

    drops = [eigenvalue(None) - eigenvalue(arc) for arc in range(graph.num_arcs)]
    scores = KeyEdge().scores(Outbreak(graph, np.array([0]))) * graph.probability
    assert np.corrcoef(scores, drops)[0, 1] > 0.95


def test_degrees_and_pagerank_of_both_ends_or_of_the_node():
    graph = SocialGraph.from_arcs([0, 0, 0, 1, 2], [1, 2, 3, 2, 0], nodes=4)
    arcs, nodes = (Outbreak(graph, np.array([3]), unit) for unit in ("arcs", "nodes"))
    degree = {0: 3.0, 1: 1.0, 2: 1.0, 3: 0.0}
    assert OutDegree().scores(arcs).tolist() == [degree[tail] + degree[head] for tail, head in ends(graph)]
    assert OutDegree(unit="nodes").scores(nodes).tolist() == list(degree.values())
    rank = nx.pagerank(networkx(graph).reverse(), tol=1e-12)
    wanted = [rank[tail] + rank[head] for tail, head in ends(graph)]
    assert PageRank().scores(arcs).tolist() == pytest.approx(wanted, abs=1e-8)


def test_next_to_the_seeds_by_probability_and_out_degree():
    #        0 and 1 are seeds; 2 has two arcs that leave it, 3 none.
    graph = SocialGraph.from_arcs([0, 1, 0, 2, 2, 1], [2, 2, 3, 4, 5, 0], [0.5, 0.2, 0.9, 1.0, 1.0, 1.0], nodes=6)
    arcs, nodes = (Outbreak(graph, np.array([0, 1]), unit) for unit in ("arcs", "nodes"))
    wanted = {(0, 2): 1.5, (1, 2): 0.6, (0, 3): 0.9}
    assert SeedAdjacent().scores(arcs).tolist() == pytest.approx([wanted.get(pair, 0.0) for pair in ends(graph)])
    found = SeedAdjacent(unit="nodes").scores(nodes)
    assert found.tolist() == pytest.approx([0, 0, (1 - 0.5 * 0.8) * 3, 0.9, 0, 0])


def test_mds_by_hand():
    # Certain arcs: 0 reaches 1, 2, 3; nobody tells 4, who would tell 5 and 6.
    pairs = [(0, 1), (1, 2), (1, 3), (4, 5), (4, 6), (2, 4)]
    graph = SocialGraph.from_arcs(*zip(*pairs, strict=True), [1, 1, 1, 1, 1, 0], nodes=7)
    ability = {0: 4, 1: 3, 2: 1, 3: 1, 4: 3, 5: 1, 6: 1}
    active = {0, 1, 2, 3}
    worth = {pair: (pair[1] not in active) * (ability[pair[0]] + ability[pair[1]]) for pair in pairs}
    found = [ends(graph)[arc] for arc in Mds(runs=5).choose(Outbreak(graph, np.array([0])), 3)]
    # First 2 -> 4 and 4 -> 5 are worth 4 each; then what 4 and 2 can still do has changed.
    assert worth[found[0]] == max(worth.values()) == 4
    assert set(found) == {(2, 4), (4, 5), (4, 6)}


def test_mds_counts_walks_of_up_to_six_steps():
    # Nobody hears of the chain 9 -> 8 -> ... -> 1, whose node k can do min(k - 1, 6) + 1; of equals the first counts.
    graph = SocialGraph.from_arcs(range(2, 10), range(1, 9), 1.0, nodes=10)
    (found,) = Mds(runs=2).choose(Outbreak(graph, np.array([0])), 1)
    assert ends(graph)[found] == (8, 7)


def test_mds_counts_what_the_tail_can_do_as_well():
    # Of four arcs to people who tell nobody, three leave one person.
    graph = SocialGraph.from_arcs([1, 3, 3, 3], [2, 4, 5, 6], 1.0, nodes=7)
    (found,) = Mds(runs=2).choose(Outbreak(graph, np.array([0])), 1)
    assert ends(graph)[found] == (3, 4)


def test_random_choices_are_spread_evenly():
    graph = some_graph(0)
    outbreak = Outbreak(graph, np.array([0]))
    counts = np.zeros(graph.num_arcs)
    for seed in range(300):
        counts[Random(seed=seed).choose(outbreak, 10)] += 1
    expected = 3_000 / graph.num_arcs
    assert ((counts - expected) ** 2 / expected).sum() < graph.num_arcs + 4 * (2 * graph.num_arcs) ** 0.5
