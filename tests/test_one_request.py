"""One request, both halves: users and ties leave a social recommender and a surrogate of influence, by the same ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graph_influence.graph import SocialGraph
from graph_influence.labels import Labels
from graph_influence.problem import SurrogateProblem
from graph_influence.schemes import weighted_cascade
from recsys.data import Interactions, Split, read, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.train import TrainingOptions
from tests.graph_influence.blend import Blend
from tests.social import social_graph
from unlearn.forget import ForgetSet, Id, UnknownIds
from unlearn.hooks import AttachedOptions
from unlearn.methods import method
from unlearn.problem import Problem


def arcs(graph: SocialGraph) -> set[tuple[Id, Id]]:
    ends = (graph.nodes.take(side[graph.alive]) for side in (graph.source, graph.target))
    return set(zip(*ends, strict=True))


def ties(data: Interactions) -> set[tuple[Id, Id]]:
    assert data.ties is not None
    return set(zip(*(data.users.take(side) for side in data.ties.T), strict=True))


def of_recommender(data: Interactions, *, dim: int, tolerance: float) -> RecommenderProblem:
    options = TrainingOptions(tolerance=tolerance, max_iterations=300)
    objective = WholeData(a=0.1, l2=1.0)
    built = RecommenderProblem.build(data, model="social_lightgcn", objective=objective, options=options, dim=dim)
    return built.fit()


def of_influence(graph: SocialGraph, *, sets: int, runs: int) -> SurrogateProblem:
    random = np.random.default_rng(0)
    drawn = [random.permutation(graph.num_nodes)[:6] for _ in range(sets)]
    graph = weighted_cascade(graph)
    return SurrogateProblem.build(Blend(), graph, drawn, runs=runs, options=AttachedOptions(tolerance=1e-7)).fit()


def served(problem: Problem, request: ForgetSet) -> tuple[Any, Any]:
    """The problem after it has unlearned the request, which has come nearer to a cold retrain than `graph_drop`."""
    after = method("reconverge", accuracy=0.02).forget(problem, request).problem
    dropped = method("graph_drop").forget(problem, request).problem
    retrained = method("retrain").forget(problem, request).problem
    answers = [one.outputs(queries(after)) for one in (after, dropped, retrained)]
    gap, before = ((one - answers[2]).norm() for one in answers[:2])
    assert gap < 0.5 * before
    return after, retrained


def queries(problem: Any) -> torch.Tensor:
    """What is asked of those who are there: items of users, or nodes of seed sets."""
    if isinstance(problem, RecommenderProblem):
        rows = np.flatnonzero(problem.data.users.alive)[:200]
        return torch.cartesian_prod(torch.from_numpy(rows), torch.arange(50))
    rows = np.flatnonzero(problem.data.graph.nodes.alive)
    return torch.cartesian_prod(torch.arange(len(problem.data.labels.sets)), torch.from_numpy(rows))


def both_serve(data: Interactions, *, dim: int, tolerance: float, sets: int, runs: int) -> None:
    graph = social_graph(data)
    assert arcs(graph) == ties(data)
    recommender = of_recommender(data, dim=dim, tolerance=tolerance)
    influence = of_influence(graph, sets=sets, runs=runs)
    seeds = {id for rows in influence.data.labels.sets for id in graph.nodes.take(rows)}
    # Random users, one of whom was a seed, and ties of others.
    request = requests("users:3", data, seed=0)[0] | ForgetSet(users=sorted(seeds, key=str)[:1])
    request |= requests("ties:9", data.without(request), seed=0)[0]
    after, _ = served(recommender, request)
    spread, retrained = served(influence, request)
    assert isinstance(after, RecommenderProblem) and isinstance(spread, SurrogateProblem)

    # Both hold the same people and the same ties, and nothing of the others.
    left = spread.data.graph
    assert arcs(left) == ties(after.data)
    assert len(arcs(left)) < len(arcs(graph)) - 18  # the ties, and those of the users
    assert left.nodes == after.data.users
    gone = data.users.rows(request.users)
    assert all(user not in left.nodes for user in request.users)
    assert not np.isin(after.data.user_rows(), gone).any()
    assert float(after.params["table"][torch.from_numpy(gone)].abs().max()) < 1e-3
    labels = spread.data.labels
    assert not any(np.isin(rows, gone).any() for rows in labels.sets)
    assert not labels.counts[:, gone].any()
    assert not left.probability[~left.alive].any()

    # The labels are those of a simulation that never saw them.
    anew = Labels.drawn(left, labels.sets, runs=labels.runs, numbers=labels.numbers)
    assert np.array_equal(labels.counts, anew.counts)
    assert torch.equal(spread.data.targets, retrained.data.targets)

    # What is gone from one is gone from the other.
    for refused in (after.resolve, spread.resolve, left.without):
        with pytest.raises(UnknownIds, match=str(request.users[0])):
            refused(request)
        with pytest.raises(UnknownIds):
            refused(ForgetSet(ties=request.ties[:1]))


def test_a_request_is_served_by_both_halves_alike() -> None:
    both_serve(synthetic(120, 60, 1_500, seed=3), dim=8, tolerance=1e-5, sets=6, runs=300)


def test_on_lastfm(data_dir: Path) -> None:
    split = read(data_dir / "lastfm")
    assert isinstance(split, Split)
    both_serve(split.refit(), dim=16, tolerance=1e-3, sets=4, runs=200)
