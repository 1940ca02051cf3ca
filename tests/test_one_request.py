"""One request, both halves: users and ties leave a social recommender and a social graph alike, by the same ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph_influence.graph import SocialGraph
from recsys.data import Interactions, Split, read, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet, Id, UnknownIds
from unlearn.methods import method


def social_graph(data: Interactions) -> SocialGraph:
    """Who is tied to whom, over the users of the recommender."""
    assert data.ties is not None
    return SocialGraph.from_arcs(data.ties[:, 0], data.ties[:, 1], nodes=data.users)


def arcs(graph: SocialGraph) -> set[tuple[Id, Id]]:
    ends = (graph.nodes.take(side[graph.alive]) for side in (graph.source, graph.target))
    return set(zip(*ends, strict=True))


def ties(data: Interactions) -> set[tuple[Id, Id]]:
    assert data.ties is not None
    return set(zip(*(data.users.take(side) for side in data.ties.T), strict=True))


def served(data: Interactions, *, dim: int) -> None:
    options = TrainingOptions(tolerance=1e-3, max_iterations=100)
    problem = RecommenderProblem.build(
        data, model="social_lightgcn", objective=WholeData(a=0.1, l2=1.0), options=options, dim=dim
    ).fit()
    graph = social_graph(data)
    assert arcs(graph) == ties(data)
    request = requests("users:3", data, seed=0)[0]
    request |= requests("ties:9", data.without(request), seed=0)[0]
    after, left = method("reconverge").forget(problem, request).problem, graph.without(request)
    assert isinstance(after, RecommenderProblem)
    assert arcs(left) == ties(after.data)
    assert len(arcs(left)) < len(arcs(graph)) - 18  # the ties, and those of the users
    assert left.nodes == after.data.users
    assert all(user not in left.nodes and user not in after.data.users for user in request.users)
    for refused in (left.without, after.resolve):  # what is gone from one is gone from the other
        with pytest.raises(UnknownIds, match=str(request.users[0])):
            refused(request)
        with pytest.raises(UnknownIds):
            refused(ForgetSet(ties=request.ties[:1]))


def test_a_request_is_served_by_both_halves_alike() -> None:
    served(synthetic(120, 60, 1_500, seed=3), dim=8)


def test_on_lastfm(data_dir: Path) -> None:
    split = read(data_dir / "lastfm")
    assert isinstance(split, Split)
    served(split.refit(), dim=16)
