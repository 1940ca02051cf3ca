"""Annotation: the graph against a plain search, and seeds against ten simulated runs."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.constrained import annotate, neighbour_graph
from graph_influence.errors import InvalidRequest
from graph_influence.maximize import Celf
from graph_influence.maximize.evaluation import evaluated
from unlearn.vocabulary import Vocabulary


def clusters(n=400, width=12, seed=0):
    """Points around few centres of very different size."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(12, width))
    which = (12 * random.uniform(size=n) ** 2).astype(int)
    return centres[which] + 0.4 * random.normal(size=(n, width))


@pytest.mark.parametrize("neighbours", [1, 10])
def test_arcs_lead_to_the_most_similar_with_shares_of_their_cosines(neighbours):
    points = clusters(60)
    graph = neighbour_graph(points, neighbours)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    found = np.zeros((60, 60))
    found[graph.source, graph.target] = graph.probability
    for row in range(60):
        nearest = np.argsort(-cosine[row], kind="stable")[:neighbours]
        nearest = nearest[cosine[row, nearest] > 0]
        expected = np.zeros(60)
        expected[nearest] = cosine[row, nearest] / cosine[row, nearest].sum()
        assert found[row] == pytest.approx(expected)
    assert found.sum(1) == pytest.approx(np.ones(60))


def test_blocks_do_not_show(monkeypatch):
    whole = neighbour_graph(clusters(60), 5)
    monkeypatch.setattr("graph_influence.constrained.annotation._BLOCK", 7 * 60)
    parts = neighbour_graph(clusters(60), 5)
    assert (whole.source == parts.source).all() and whole.probability == pytest.approx(parts.probability)


def test_equal_items_are_told_apart_by_their_rows():
    graph = neighbour_graph(np.ones((5, 3)), 2)
    assert graph.num_arcs == 10
    assert set(zip(graph.source.tolist(), graph.target.tolist(), strict=True)) == {
        (row, other) for row in range(5) for other in [one for one in range(5) if one != row][:2]
    }


def test_of_items_that_are_the_same_the_lower_row_comes_first():
    """Each of 500 items is there three times, and next to nobody else as similar as its copies."""
    item = np.random.default_rng(0).normal(size=(500, 128))
    graph = neighbour_graph(np.concatenate([item, item, item]), 10)
    for row in range(1500):
        heads = graph.target[graph.source == row]
        for one in np.unique(heads % 500):
            copies = [copy for copy in (one, one + 500, one + 1000) if copy != row]
            found = np.sort(heads[heads % 500 == one]).tolist()
            assert found == copies[: len(found)]


def test_items_that_are_not_similar_get_no_arc():
    graph = neighbour_graph([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]], 2)
    assert set(zip(graph.source.tolist(), graph.target.tolist(), strict=True)) == {(0, 2), (1, 2), (2, 0), (2, 1)}
    assert neighbour_graph([[1.0], [-1.0]], 1).num_arcs == 0


def test_the_same_sets_for_all_beat_ten_runs_each():
    """Paired over three data sets: spread of the items chosen, on sets that neither has seen."""
    gains = []
    for seed in range(3):
        graph = neighbour_graph(clusters(seed=seed))
        ours = annotate(clusters(seed=seed), 18, share=0.9)
        ten = Celf(runs=10, seed=seed).maximize(graph, 18)
        spreads = [evaluated(graph, np.array(answer.nodes), "ic", 77).mean for answer in (ours, ten)]
        gains.append(spreads[0] / spreads[1] - 1)
    assert min(gains) > 0
    assert np.mean(gains) > 0.02


def test_items_keep_their_names_and_arguments_reach_the_method():
    names = Vocabulary([f"text {row}" for row in range(60)])
    answer = annotate(clusters(60), 3, nodes=names, method="degree_discount")
    assert answer.method == "degree_discount" and all(node.startswith("text ") for node in answer.nodes)


def test_wrong_features_are_named_at_once():
    with pytest.raises(InvalidRequest) as raised:
        neighbour_graph([[1.0, 0.0], [0.0, 0.0], [np.nan, 1.0]], 3)
    assert len(raised.value.problems) == 2 and "2 are not, first row 1" in str(raised.value)
    with pytest.raises(InvalidRequest, match="shape"):
        neighbour_graph([1.0, 2.0])
