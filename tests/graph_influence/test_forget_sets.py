"""Forget sets by influence, against what brute force finds, and random ones that are coupled."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.diffusion import diffusion
from graph_influence.forget_sets import hub_users, influential_ties, random_ties, random_users
from tests.graph_influence.maximize.graphs import Enumerated, social
from tests.oracles.cascades import random_graph
from unlearn.forget import ForgetSet


def test_hubs_are_those_who_reach_most() -> None:
    graph = random_graph(3, "ic")
    truth = Enumerated(graph, "ic")
    rows = graph.nodes.rows(hub_users(graph, 2).users)
    assert truth.spread(rows) >= 0.95 * truth.best(2)


def test_influential_ties_hold_up_more_than_random_ones() -> None:
    graph = social(200)
    seeds = hub_users(graph, 3).users

    def spread(request: ForgetSet) -> float:
        return diffusion("ic", graph.without(request), runs=5_000).simulate(seeds).spread.mean

    whole = spread(ForgetSet())
    chosen = influential_ties(graph, 5, seeds, method="advanced_greedy")
    assert len(chosen.ties) == 5
    drops = [whole - spread(random_ties(graph, 5, seed=k)) for k in range(10)]
    assert whole - spread(chosen) > 3 * max(drops)


def test_random_ones_keep_their_lot_whoever_leaves() -> None:
    graph = social(100)
    users, ties = random_users(graph, 10, seed=1), random_ties(graph, 10, seed=1)
    assert users != random_users(graph, 10, seed=2)
    others = ForgetSet(users=tuple(set(graph.nodes.take(np.arange(100))) - set(random_users(graph, 60, seed=1).users)))
    left = graph.without(others)
    assert random_users(left, 10, seed=1) == users
    kept = [tie for tie in ties.ties if not set(tie) & set(others.users)]
    assert set(kept) <= set(random_ties(left, 10, seed=1).ties)
    assert random_users(left, 1_000, seed=1).users == tuple(sorted(left.nodes.take(np.flatnonzero(left.nodes.alive))))


def test_fewer_than_none_cannot_be_drawn() -> None:
    graph = social(20)
    assert not random_users(graph, 0).users and not random_ties(graph, 0).ties
    for draw in (random_users, random_ties):
        with pytest.raises(ValueError, match="`k` must be an integer of at least 0"):
            draw(graph, -1)
