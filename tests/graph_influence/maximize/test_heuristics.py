"""Heuristics against what they are defined by: networkx, and one-step spread by enumeration."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from graph_influence.errors import InvalidBlocking, InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize import maximize
from graph_influence.maximize.heuristics import pagerank, shells
from graph_influence.minimize import minimize
from tests.graph_influence.maximize.graphs import social
from tests.oracles.cascades import random_graph


def weighted(graph, reverse=False):
    found = nx.DiGraph()
    found.add_nodes_from(np.flatnonzero(graph.nodes.alive).tolist())
    for tail, head, p, there in zip(graph.source, graph.target, graph.probability, graph.alive, strict=True):
        if there:
            found.add_edge(*((int(head), int(tail)) if reverse else (int(tail), int(head))), weight=float(p))
    return found


def some_graphs():
    yield social()
    yield social(60, seed=2).without_rows(np.array([0, 5]), np.array([11]))
    yield from (random_graph(seed) for seed in range(30))


@pytest.mark.parametrize("damping", [0.0, 0.5, 0.85, 0.99])
def test_ranks_are_those_of_networkx_on_the_reversed_graph(damping):
    for graph in some_graphs():
        expected = nx.pagerank(weighted(graph, reverse=True), alpha=damping, tol=1e-12, max_iter=100_000)
        found = pagerank(graph, damping)
        assert found.sum() == pytest.approx(1)
        assert [found[row] for row in expected] == pytest.approx(list(expected.values()), abs=1e-9)


@pytest.mark.parametrize("damping", [0.5, 0.99, 0.999])
def test_ranks_are_as_near_as_they_say_where_walks_settle_slowly(damping):
    """From one of two pairs the walk goes to the other in one of a thousand steps, and never back."""
    graph = SocialGraph.from_arcs([0, 1, 2, 2, 3], [1, 0, 0, 3, 2], [1.0, 0.999, 0.001, 1.0, 1.0], nodes=4)
    walk = np.zeros((4, 4))
    walk[graph.source, graph.target] = graph.probability
    expected = np.linalg.solve(np.eye(4) - damping * walk, np.full(4, (1 - damping) / 4))
    assert np.abs(pagerank(graph, damping) - expected).sum() < 1.01e-10


@pytest.mark.parametrize("damping", [-0.1, 0.9999, 0.9999999, 1.0, float("nan")])
def test_walks_that_would_not_settle_are_refused(damping):
    """At .9999999, ranks on this graph go on changing by what they are rounded."""
    graph = SocialGraph.from_arcs([0, 1, 2, 2], [1, 2, 0, 1], [1.0, 0.5, 1.0, 0.5], nodes=3)
    with pytest.raises(InvalidRequest, match=r"`damping` must be from 0 to 0\.999 \(got "):
        maximize(graph, 1, "pagerank", damping=damping)
    with pytest.raises(InvalidBlocking, match=r"`damping` must be from 0 to 0\.999 \(got "):
        minimize(graph, [0], 1, "pagerank", damping=damping)


def test_shells_are_the_core_numbers_of_networkx():
    for graph in some_graphs():
        expected = nx.core_number(weighted(graph).to_undirected())
        assert {row: int(shells(graph)[row]) for row in expected} == expected


def test_degree_counts_arcs_that_leave():
    graph = SocialGraph.from_arcs([0, 0, 1, 2, 3], [1, 2, 2, 3, 2], 0.5, nodes=4)
    assert maximize(graph, 4, "degree").nodes == (0, 1, 2, 3)


@pytest.mark.parametrize("model", ["ic", "lt"])
def test_degree_discount_adds_the_most_in_one_step(model):
    """Each pick is one of those whose v maximises Pr[no seed activates v] (1 + expected direct reach beyond seeds)."""
    for seed in range(40):
        graph = random_graph(seed, model)
        p = np.zeros((graph.num_nodes, graph.num_nodes))
        p[graph.source, graph.target] = graph.probability
        rows = graph.nodes.rows(maximize(graph, min(4, graph.num_nodes), "degree_discount", model=model).nodes)
        for number, row in enumerate(rows):
            others = [other for other in range(graph.num_nodes) if other not in rows[:number]]
            chosen = rows[:number]
            free = np.prod(1 - p[chosen], axis=0) if model == "ic" else np.maximum(1 - p[chosen].sum(0), 0)
            gains = {other: free[other] * (1 + p[other, others].sum()) for other in others}
            assert gains[row] == pytest.approx(max(gains.values()))


def test_with_one_probability_it_is_the_published_discount():
    """d - 2t - (d - t) t p, to first order in p, on a graph whose arcs run both ways."""
    p, random = 0.001, np.random.default_rng(0)
    for d, t in random.integers(1, 30, size=(50, 2)):
        t = min(d, t)
        discount = d - 2 * t - (d - t) * t * p
        assert (1 - p) ** t * (1 + (d - t) * p) == pytest.approx(1 + discount * p, abs=2 * (t * p) ** 2)
