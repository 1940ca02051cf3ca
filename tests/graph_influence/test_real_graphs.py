"""The published graphs, against the counts of an independent parse, and cascades that their authors simulated."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch

from graph_influence.diffusion import IndependentCascade
from graph_influence.readers import read
from graph_influence.seeds import seed_rows
from graph_influence.surrogate import MeanField, NonBacktracking, TensorGraph


@pytest.mark.parametrize(
    ("file", "options", "nodes", "arcs", "isolated"),
    [
        ("graphs/hep.txt", {"undirected": True}, 15_233, 62_752, 4),
        ("graphs/phy.txt", {"undirected": True}, 37_154, 348_322, 5),
        ("graphs/wiki-Vote.txt", {"reverse": True}, 7_115, 103_689, 0),
        ("graphs/facebook_combined.txt", {"undirected": True}, 4_039, 176_468, 0),
        ("graphs/dnc-corecipient.txt", {}, 906, 20_858, 0),
        ("lastfm/trustnetwork.txt", {}, 1_892, 25_434, 0),
        ("lastfm-full/lastfm.net", {}, 1_892, 25_434, 0),
        ("yelp2/yelp2.net", {}, 10_580, 158_590, 0),
    ],
)
def test_counts(data_dir, file, options, nodes, arcs, isolated):
    graph = read(data_dir / file, **options)
    assert (graph.num_nodes, graph.num_arcs) == (nodes, arcs)
    assert np.count_nonzero(graph.in_degree() + graph.out_degree() == 0) == isolated


@pytest.mark.parametrize(
    ("name", "nodes", "arcs", "mean", "full"),
    [("Celebrity", 7_336, 27_699, 0.2560, 0.967), ("Extended", 5_413, 27_146, 0.1837, 0.921)],
)
def test_probabilities(data_dir, name, nodes, arcs, mean, full):
    graph = read(data_dir / "diffim" / f"{name}_test_LP.txt")
    assert (graph.num_nodes, graph.num_arcs) == (nodes, arcs)
    assert graph.probability.mean() == pytest.approx(mean, abs=5e-5)
    total = np.bincount(graph.target, graph.probability, minlength=graph.num_nodes)
    assert np.mean(np.abs(total - 1) < 1e-6) == pytest.approx(full, abs=5e-4)
    graph.require_weights()


def test_direction_and_compression(data_dir, tmp_path):
    votes = data_dir / "graphs" / "wiki-Vote.txt"
    plain, turned = read(votes), read(votes, reverse=True)
    assert [graph.arcs([(30, 1412)])[0] >= 0 for graph in (plain, turned)] == [True, False]
    assert turned.arcs([(1412, 30)])[0] >= 0
    compressed = tmp_path / "wiki"
    compressed.write_bytes(gzip.compress(votes.read_bytes(), 1))
    assert np.array_equal(read(compressed).source, plain.source)


def test_cascades_of_other_authors_are_ours(data_dir):
    """50 seed sets with the others' means over 10,000 runs; our standard error stands for theirs too."""
    graph = read(data_dir / "diffim" / "Extended_test_LP.txt")
    published = json.loads((data_dir / "diffim" / "Extended_test_LP-50.json").read_text())
    counts = np.load(data_dir / "diffim" / "Extended_test_LP-50.npz")["activation_counts"]
    model = IndependentCascade(graph, runs=2000, seed=1)
    distances = []
    for seeds, mean, count in zip(published["seed_sets"], published["mean_spread"], counts, strict=True):
        found = model.simulate(seeds)
        theirs = found.spread.standard_error * np.sqrt(2000 / 10_000)
        distances.append((found.spread.mean - mean) / np.hypot(found.spread.standard_error, theirs))
        assert np.corrcoef(found.activations, count)[0, 1] > 0.99
    assert np.abs(distances).max() < 4
    assert abs(np.mean(distances)) < 4 / np.sqrt(50)


def test_messages_come_within_a_tenth_of_cascades_of_other_authors(data_dir):
    graph = read(data_dir / "diffim" / "Extended_test_LP.txt")
    published = json.loads((data_dir / "diffim" / "Extended_test_LP-50.json").read_text())
    simulated = torch.tensor(published["mean_spread"], dtype=torch.float64)
    tensors = TensorGraph.of(graph)
    seeds = tensors.seeds(*(seed_rows(graph, those) for those in published["seed_sets"]))
    messages, field = (kind(rounds=30).spread(tensors, seeds) for kind in (NonBacktracking, MeanField))
    assert (messages / simulated - 1).abs().mean() < 0.1
    assert (field > messages).all()
