"""Draws against all worlds of 200 small graphs, before and after deletions; and that the two shortcuts are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from graph_influence.rrsets import RRSets
from tests.oracles.cascades import Model, random_graph
from tests.oracles.rrsets import Deviation, counts, probabilities

GRAPHS, SETS = 200, 5_000
NONE = np.empty(0, dtype=np.int64)


def frozen(graph: SocialGraph) -> SocialGraph:
    return graph


def cascade(graph: SocialGraph) -> SocialGraph:
    """Weighted cascade: one over the in-degree that is left."""
    share = 1 / np.maximum(graph.in_degree(), 1)[graph.target]
    return replace(graph, probability=np.where(graph.alive, share, 0.0))


def stretched(graph: SocialGraph) -> SocialGraph:
    """What is left of each node's weight of 1 goes to its arcs in part, in their proportions."""
    weight = np.bincount(graph.target, graph.probability, minlength=graph.num_nodes)
    factor = (weight + 0.7 * np.maximum(1 - weight, 0)) / np.maximum(weight, 1e-300)
    return replace(graph, probability=np.minimum(graph.probability * np.maximum(factor, 1)[graph.target], 1.0))


def deletion(graph: SocialGraph, seed: int) -> SocialGraph:
    """A random node leaves, or a random arc, or one of each."""
    random = np.random.default_rng(seed)
    kind = random.integers(3)
    rows = random.choice(np.flatnonzero(graph.nodes.alive), 1) if kind != 1 else NONE
    there = np.flatnonzero(graph.alive)
    arcs = random.choice(there, 1) if kind != 0 and len(there) else NONE
    return graph.without_rows(rows, arcs)


@pytest.mark.parametrize("model", ["ic", "lt"])
@pytest.mark.parametrize("start", [frozen, cascade], ids=["any", "cascade"])
def test_sets_have_the_distribution_of_all_worlds(model: Model, start: Callable[[SocialGraph], SocialGraph]):
    deviation = Deviation()
    for seed in range(GRAPHS):
        graph = start(random_graph(seed, model))
        store = RRSets(graph, model, seed=seed)
        store.grow(SETS)
        deviation.add(counts(store.members, graph.num_nodes), probabilities(graph, model))
    assert abs(deviation.in_standard_errors) < 4


@pytest.mark.parametrize("model", ["ic", "lt"])
@pytest.mark.parametrize(
    ("start", "semantics"),
    [
        (frozen, (frozen, frozen)),
        (frozen, (stretched, stretched)),
        (cascade, (frozen, frozen)),
        (cascade, (cascade, cascade)),
        (cascade, (cascade, frozen)),
        (cascade, (frozen, cascade)),
    ],
    ids=["any-frozen", "any-reweighted", "cascade-frozen", "cascade-renormalised", "renormalised-frozen", "mixed"],
)
def test_after_two_deletions_too(
    model: Model,
    start: Callable[[SocialGraph], SocialGraph],
    semantics: tuple[Callable[[SocialGraph], SocialGraph], ...],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("graph_influence.rrsets.store._REBUILD", np.inf)
    deviation = Deviation()
    for seed in range(GRAPHS):
        graph = start(random_graph(seed, model))
        store = RRSets(graph, model, seed=seed)
        store.grow(SETS)
        for step in range(2):
            graph = semantics[step](deletion(graph, 2 * seed + step))
            if graph.num_alive:
                assert not store.update(graph).rebuilt
        if graph.num_alive:
            deviation.add(counts(store.members, graph.num_nodes), probabilities(graph, model))
    assert abs(deviation.in_standard_errors) < 4


def redraw(store: RRSets, row: int, graph: SocialGraph) -> np.ndarray:
    """The shortcut: sets of who left are thrown away and others drawn. What stays is conditioned on not being them."""
    kept = counts(store.members, graph.num_nodes)
    kept[np.arange(len(kept)) >> row & 1 == 1] = 0
    fresh = RRSets(graph, store.model, seed=store.seed + 1_000_003)
    fresh.grow(len(store) - int(kept.sum()))
    return kept + counts(fresh.members, graph.num_nodes)


def mask(store: RRSets, row: int, graph: SocialGraph) -> np.ndarray:
    """The shortcut: who left is taken out of the sets, and those stay who could reach the root through them only."""
    every = counts(store.members, graph.num_nodes)
    numbers = np.arange(len(every))
    masked = np.bincount(numbers & ~(1 << row), every, minlength=len(every)).astype(np.int64)
    masked[0] = 0  # sets that held nobody else
    return masked


def updated(store: RRSets, row: int, graph: SocialGraph) -> np.ndarray:
    store.update(graph)
    return counts(store.members, graph.num_nodes)


@pytest.mark.parametrize("model", ["ic", "lt"])
@pytest.mark.parametrize(("rule", "right"), [(updated, True), (redraw, False), (mask, False)])
def test_shortcuts_fail_where_the_rule_passes(
    model: Model, rule: Callable[[RRSets, int, SocialGraph], np.ndarray], right: bool
):
    deviation = Deviation()
    for seed in range(GRAPHS):
        graph = random_graph(seed, model)
        store = RRSets(graph, model, seed=seed)
        store.grow(SETS)
        # Who stands in the middle of most paths.
        row = int(np.argmax(graph.in_degree() * graph.out_degree()))
        left = graph.without_rows(np.array([row]), NONE)
        truth = probabilities(left, model)
        found = rule(store, row, left)
        found[truth < 1e-14] = 0  # a masked set may be impossible, which alone would give the shortcut away
        deviation.add(found, truth)
    assert deviation.in_standard_errors < 4 if right else deviation.in_standard_errors > 100
