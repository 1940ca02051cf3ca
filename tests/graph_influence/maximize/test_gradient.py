"""Seeds by gradients where the surrogate is exact: the exact greedy, and a relaxation that never loses."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from graph_influence.graph import SocialGraph
from graph_influence.maximize import InvalidRequest, maximize
from graph_influence.maximize.gradient import (
    GradientGreedy,
    GradientRelaxed,
    _Objective,
    ascended,
    greedy,
    rounded,
)
from graph_influence.surrogate import Hybrid, MeanField, NonBacktracking, SupercriticalWarning
from tests.graph_influence.surrogate.contract import random_tree
from tests.oracles.cascades import random_graph, worlds
from unlearn.forget import ForgetSet

MODELS = ("ic", "lt")


def chosen(graph: SocialGraph, k: int, kind: type, model: str) -> list[int]:
    method = kind(model=model, surrogate=NonBacktracking(50, model))
    return method._choose(graph, k).rows.tolist()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_exact_greedy_on_trees(seed, model):
    graph = random_tree(seed, model)
    everything, rows = worlds(graph, model), list[int]()
    k = min(3, graph.num_nodes)
    for _ in range(k):
        rows.append(max(set(range(graph.num_nodes)) - set(rows), key=lambda row: everything.spread([*rows, row])))
    found = chosen(graph, k, GradientGreedy, model)
    assert len(set(found)) == k
    assert everything.spread(found) == pytest.approx(everything.spread(rows), abs=1e-8)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(12))
def test_the_relaxation_is_no_worse_than_greedy_and_near_the_best_on_trees(seed, model):
    graph = random_tree(seed, model)
    everything, k = worlds(graph, model), min(3, graph.num_nodes)
    found = chosen(graph, k, GradientRelaxed, model)
    assert len(set(found)) == k
    spread = everything.spread(found)
    assert spread >= everything.spread(chosen(graph, k, GradientGreedy, model)) - 1e-8
    best = max(everything.spread(list(rows)) for rows in combinations(range(graph.num_nodes), k))
    assert spread >= 0.95 * best


@pytest.mark.parametrize("seed", range(20))
def test_rounding_keeps_the_sum_and_loses_nothing_on_trees(seed):
    graph = random_tree(seed)
    objective = _Objective(NonBacktracking(50), graph)
    s = torch.tensor(np.random.default_rng(seed).dirichlet(np.ones(graph.num_nodes)))
    s = (s * 2).clamp(max=1.0) if graph.num_nodes > 2 else torch.ones(graph.num_nodes, dtype=torch.float64)
    k = int(s.sum().floor())
    s = s * k / s.sum()
    ends = rounded(objective, s)
    assert set(ends.tolist()) <= {0.0, 1.0} and ends.sum() == k
    assert float(objective.spread(ends[None])) >= float(objective.spread(s[None])) - 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_ascent_never_goes_down_and_stays_within_its_bounds(seed):
    graph = random_graph(seed)
    objective = _Objective(NonBacktracking(), graph)
    k = min(2, graph.num_nodes)
    begun = objective.seeds(list(range(k)))
    ended = ascended(objective, begun, 10)
    assert float(objective.spread(ended[None])) >= float(objective.spread(begun[None]))
    assert ended.sum().item() == pytest.approx(k) and bool(((ended >= 0) & (ended <= 1 + 1e-12)).all())
    assert (
        float(objective.spread(ended[None])) >= float(objective.spread(objective.seeds(greedy(objective, k))[None])) / 2
    )


def test_where_rounding_loses_the_greedy_seeds_are_the_answer(monkeypatch):
    graph = SocialGraph.from_arcs([0, 0, 0, 4], [1, 2, 3, 5], nodes=6)
    monkeypatch.setattr("graph_influence.maximize.gradient.rounded", lambda objective, _: objective.seeds([1, 2]))
    assert chosen(graph, 2, GradientRelaxed, "ic") == [0, 4]


def test_whoever_has_left_is_no_seed():
    graph = random_graph(3).without(ForgetSet(users=(0,)))
    for kind in (GradientGreedy, GradientRelaxed):
        assert 0 not in chosen(graph, graph.num_alive, kind, "ic")


def test_they_are_found_by_name_and_say_how_far_it_reaches():
    graph = SocialGraph.from_arcs([0, 0, 0, 4], [1, 2, 3, 5], nodes=6)
    for name in ("gradient_greedy", "gradient_relaxed"):
        found = maximize(graph, 2, name)
        assert found.nodes == (0, 4)
        assert found.spread.mean == pytest.approx(6, rel=0.1)
    with pytest.raises(InvalidRequest, match="`surrogate` must be one of the model 'ic'"):
        maximize(graph, 1, "gradient_greedy", surrogate=MeanField(model="lt"))
    with pytest.raises(InvalidRequest, match="`hybrid` must have learned before it is asked"):
        maximize(graph, 1, "gradient_greedy", surrogate="hybrid")
    with pytest.raises(InvalidRequest, match="`tea` is no surrogate"):
        maximize(graph, 1, "gradient_greedy", surrogate="tea")
    assert maximize(graph, 2, "gradient_greedy", surrogate="mean_field").nodes == (0, 4)
    with pytest.raises(InvalidRequest, match="`steps` must be at least 1"):
        maximize(graph, 1, "gradient_relaxed", steps=0)


def test_where_activity_takes_off_surrogates_without_training_warn():
    complete = [(u, v) for u in range(6) for v in range(6) if u != v]
    graph = SocialGraph.from_arcs(*np.array(complete).T, 0.5, nodes=6)
    for name in ("gradient_greedy", "gradient_relaxed"):
        with pytest.warns(SupercriticalWarning):
            maximize(graph, 1, name)
    maximize(graph, 1, "gradient_greedy", surrogate=Hybrid())  # no warning: it may have learned to tell
