"""Probabilities learned from logs, against the paper's definitions counted one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import graph_influence.action_log as module
from graph_influence.action_log import InvalidLog, learn_probabilities
from graph_influence.graph import SocialGraph
from graph_influence.schemes import weighted_cascade
from tests.graph_influence.listing import listed
from unlearn.forget import ForgetSet
from unlearn.vocabulary import Vocabulary


def counted(graph, log, estimator, credit):
    """Probability of each arc by its ids, straight from the definitions."""
    first = {}
    for user, item, time in log.itertuples(index=False):
        first[user, item] = min(time, first.get((user, item), np.inf))
    did = {user: {item for other, item in first if other == user} for user in graph.nodes.take(range(graph.num_nodes))}
    arcs = [(v, u) for v, u, _ in listed(graph)]
    found = {}
    for v, u in arcs:
        total = 0.0
        for item in did[v] & did[u]:
            if first[v, item] < first[u, item]:
                influencers = [w for w, x in arcs if x == u and item in did[w] and first[w, item] < first[u, item]]
                total += 1 / len(influencers) if credit == "partial" else 1
        below = len(did[v]) if estimator == "bernoulli" else len(did[v] | did[u])
        found[v, u] = total / below if below else 0.0
    return found


def random_log(seed, users=12, items=15, rows=120):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": random.integers(users + 2, size=rows),  # two of them are not in the graph
            "item": random.integers(items, size=rows),
            "time": random.integers(20, size=rows).astype(float),  # with ties in time, and repeated actions
        }
    )


@pytest.mark.parametrize("estimator", ["bernoulli", "jaccard"])
@pytest.mark.parametrize("credit", ["full", "partial"])
@pytest.mark.parametrize("at_once", [2**21, 7])
def test_what_is_learned_is_what_the_paper_counts(estimator, credit, at_once, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    some = 0
    for seed in range(5):
        random = np.random.default_rng(seed)
        graph = SocialGraph.from_arcs(*random.integers(12, size=(2, 50)), nodes=12)
        graph = graph.without_rows(np.array([4]), np.array([2, 9]))
        log = random_log(seed)
        found = learn_probabilities(graph, log, estimator=estimator, credit=credit)
        expected = counted(graph, log[log.user != 4], estimator, credit)
        assert {(v, u): pytest.approx(p) for v, u, p in listed(found)} == expected
        some += len(set(expected.values()))
    assert some > 30


def test_an_example_by_hand():
    """b acts on x after a and c did, and on y before a; c acts on z alone."""
    nodes = Vocabulary(["a", "b", "c"])
    graph = SocialGraph.from_arcs([0, 2, 1], [1, 1, 0], nodes=nodes)
    log = pd.DataFrame(
        [("a", "x", 1), ("c", "x", 2), ("b", "x", 3), ("b", "y", 1), ("a", "y", 2), ("c", "z", 1)],
        columns=["who", "what", "when"],
    )
    named = {"user": "who", "item": "what", "time": "when"}
    assert listed(learn_probabilities(graph, log, **named)) == [("a", "b", 0.5), ("b", "a", 0.5), ("c", "b", 0.5)]
    assert listed(learn_probabilities(graph, log, credit="partial", **named)) == [
        ("a", "b", 0.25),
        ("b", "a", 0.5),
        ("c", "b", 0.25),
    ]
    jaccard = dict.fromkeys([("a", "b"), ("b", "a")], 0.5) | {("c", "b"): 1 / 3}
    assert {(v, u): p for v, u, p in listed(learn_probabilities(graph, log, estimator="jaccard", **named))} == jaccard


def test_what_was_learned_with_somebody_is_learned_again_without():
    graph = SocialGraph.from_arcs([0, 1], [2, 2], nodes=3)
    log = pd.DataFrame({"user": [0, 1, 2], "item": [5, 5, 5], "time": [1.0, 2.0, 3.0]})
    assert learn_probabilities(graph, log, credit="partial").probability.tolist() == [0.5, 0.5]
    left = graph.without(ForgetSet(users=(0,)))
    assert listed(learn_probabilities(left, log[log.user != 0], credit="partial")) == [(1, 2, 1.0)]


def test_dates_order_actions_as_numbers_do():
    graph = SocialGraph.from_arcs([0, 1], [2, 2], nodes=3)
    days = ["2024-01-31", "2024-02-01T08:30:00Z", "2024-02-01T09:30:00+02:00"]  # the last is the second in UTC
    log = pd.DataFrame({"user": [0, 1, 2], "item": [5, 5, 5], "time": days})
    assert learn_probabilities(graph, log).probability.tolist() == [1.0, 0.0]
    assert (
        learn_probabilities(graph, log.assign(time=pd.to_datetime(days, utc=True, format="ISO8601"))).probability[1]
        == 0.0
    )


def test_bad_logs_are_refused_whole():
    graph = weighted_cascade(SocialGraph.from_arcs([0, 1], [1, 2], nodes=3))
    log = pd.DataFrame({"user": [0, 1, None], "item": [1, 2, 3], "time": [1.0, np.nan, 3.0]}, index=[10, 11, 12])
    with pytest.raises(InvalidLog) as caught:
        learn_probabilities(graph, log)
    assert "row 12" in str(caught.value)
    assert "row 11" in str(caught.value)
    with pytest.raises(InvalidLog, match="must exist"):
        learn_probabilities(graph, log, time="when")
    with pytest.raises(InvalidLog, match="same ids in both"):
        learn_probabilities(graph, pd.DataFrame({"user": ["0", "1"], "item": [1, 1], "time": [1, 2]}))
    with pytest.raises(ValueError, match="one of bernoulli, jaccard"):
        learn_probabilities(graph, log, estimator="cosine")
