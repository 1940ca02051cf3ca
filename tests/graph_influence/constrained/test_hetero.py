"""Friend lists against their definitions, and what the sign in the published code costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from graph_influence.constrained import HeteroIM, HeteroIR, willing
from graph_influence.constrained.pairs import pair_scores
from graph_influence.constrained.participants import Participants
from graph_influence.diffusion import diffusion
from graph_influence.errors import InvalidGraph, InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize import bounds
from graph_influence.rrsets import RRSets
from tests.graph_influence.maximize.graphs import social


def table(graph):
    p = np.zeros((graph.num_nodes, graph.num_nodes))
    p[graph.source, graph.target] = graph.probability
    return p


@pytest.mark.parametrize("capacity", [1, 3, 20])
@pytest.mark.parametrize("accepting", [False, True])
def test_hetero_ir_is_its_formula(capacity, accepting):
    graph = social(80)
    accepts = np.random.default_rng(0).uniform(size=80) if accepting else None
    found = HeteroIR(capacity=capacity).recommend(graph, graph.nodes.ids[:5], 4, accepts)
    value = table(graph) * (1 if accepts is None else accepts)
    beyond = np.sort(value, axis=1)[:, ::-1][:, :capacity].sum(1)
    for u, inviter in enumerate(graph.nodes.ids[:5]):
        beta = {graph.nodes.ids[v]: value[u, v] * (1 + beyond[v]) for v in np.flatnonzero(table(graph)[u])}
        best = sorted(beta.values(), reverse=True)[:4]
        assert found.scores[inviter] == pytest.approx(tuple(best))
        assert [beta[friend] for friend in found.friends[inviter]] == pytest.approx(best)


def scores_by_counting(store, active, friends):
    """HeteroIM's scores of pairs, every count taken afresh from the sets."""
    members = [set(store.members[number].tolist()) for number in range(len(store))]
    most = max(sum(v in one for one in members) for own in friends for v in own)
    left, waiting, scores = list(members), sorted({v for own in friends for v in own}), {}
    while waiting:
        v = max(waiting, key=lambda v: (sum(v in one for one in left), -v))
        waiting.remove(v)
        holding = [one for one in left if v in one]
        for u, own in zip(active, friends, strict=True):
            if v in own:
                common = sum(u in one for one in holding)
                scores[u, v] = 1 + common if common else len(holding) / most
        left = [one for one in left if v not in one]
    return scores


def test_hetero_im_is_its_definition():
    for seed in range(2):
        graph = social(40, seed=seed)
        active = np.array([0, 1, 4, 9])
        pairs = Participants.between(graph, graph, active, 3)
        store = RRSets(graph, seed=seed)
        store.grow(200)
        friends = [pairs.candidate[pairs.ptr[u] : pairs.ptr[u + 1]].tolist() for u in range(4)]
        expected = scores_by_counting(store, active.tolist(), friends)
        found = pair_scores(store, pairs.active, pairs.ptr, pairs.candidate)
        where = [(int(active[u]), int(v)) for u in range(4) for v in friends[u]]
        assert dict(zip(where, found.tolist(), strict=True)) == pytest.approx(expected)
        assert len({score > 1 for score in expected.values()}) == 2  # both cases occur


def fans(reach):
    """0 has friends who rarely listen, and who reach as many others as `reach` says."""
    n = 1 + len(reach)
    tails = np.concatenate([np.zeros(len(reach), dtype=int), np.repeat(np.arange(1, n), reach)])
    heads = np.concatenate([np.arange(1, n), np.arange(n, n + sum(reach))])
    p = np.concatenate([np.full(len(reach), 1e-9), np.full(sum(reach), 0.9)])
    return SocialGraph.from_arcs(tails, heads, p, nodes=n + sum(reach))


def test_among_friends_without_a_common_set_the_one_who_reaches_most_comes_first():
    """The published code divides a negated count: its list of these friends is this one upside down."""
    graph = fans([2, 30, 11, 0, 60, 5])
    listed = HeteroIM().recommend(graph, [0], 6)
    assert listed.friends[0] == (5, 2, 3, 6, 1, 4)
    assert all(0 <= score <= 1 for score in listed.scores[0])
    spread = diffusion("ic", graph, runs=2_000, seed=1)
    right, wrong = (spread.simulate(three).spread.mean for three in (listed.friends[0][:3], listed.friends[0][3:]))
    assert right > 5 * wrong


def test_a_common_set_counts_more_than_any_reach():
    """3 reaches most, but does not listen to 0; 1 and 2 do."""
    tails = np.concatenate([[0, 0, 0], np.repeat(3, 40), [1]])
    heads = np.concatenate([[1, 2, 3], np.arange(4, 44), [44]])
    p = np.concatenate([[0.9, 0.5, 1e-9], np.full(40, 1.0), [1.0]])
    listed = HeteroIM().recommend(SocialGraph.from_arcs(tails, heads, p, nodes=45), [0], 3)
    assert listed.friends[0] == (1, 2, 3)
    assert listed.scores[0][1] > 1 >= listed.scores[0][2]


@pytest.mark.parametrize("eps", [0.05, 0.2, 3.0])
def test_hetero_im_draws_as_many_sets_as_lists_for_all_inviters_ask_for(eps, monkeypatch):
    """By doubling what would be enough for eps = 1 and everybody, as often as it does not pass that, or once."""
    graph, drawn, grow = social(40), list[int](), RRSets.grow

    def noted(store, count):
        drawn.append(count)
        grow(store, min(count, 100))

    monkeypatch.setattr(RRSets, "grow", noted)
    HeteroIM(size=3, eps=eps, delta=0.01).recommend(graph, ["p0", "p1", "p4", "p9"], 2)
    friends = np.bincount(graph.source, minlength=40)[[0, 1, 4, 9]]
    choices = sum(bounds.log_binomial(int(count), 3) for count in friends)
    least = bounds.sets_enough(40, 0.5, choices, 40, 1.0, 0.01)
    enough = max(bounds.sets_enough(40, 0.5, choices, 3 * 4, eps, 0.01), least)
    assert enough / 2 < drawn[0] < enough + 40 and drawn[0] % 40 == 0


def test_who_accepts_nothing_comes_last():
    graph = fans([30, 20, 10])
    accepts = np.ones(graph.num_nodes)
    accepts[1] = 0.0
    assert HeteroIR().recommend(graph, [0], 3, accepts).friends[0] == (2, 3, 1)
    tails, heads = np.array([0, 0]), np.array([1, 2])
    pair = SocialGraph.from_arcs(tails, heads, 0.5, nodes=3)
    assert HeteroIM().recommend(pair, [0], 1, np.array([1.0, 0.0, 1.0])).friends[0] == (2,)
    assert HeteroIM().recommend(pair, [0], 1, np.array([1.0, 1.0, 0.0])).friends[0] == (1,)


def test_hetero_im_spreads_as_far_as_people_accept():
    graph, accepts = social(40), np.random.default_rng(0).uniform(size=40)
    accepted = graph.with_probability(graph.probability * accepts[graph.target])
    found = HeteroIM().recommend(graph, ["p0", "p4"], 5, accepts)
    expected = HeteroIM().recommend(accepted, ["p0", "p4"], 5)
    assert (found.friends, found.scores) == (expected.friends, expected.scores)
    assert found.scores != HeteroIM().recommend(graph, ["p0", "p4"], 5).scores


@pytest.mark.parametrize("kind", ["dense", "sparse", "arcs", "function"])
def test_willingness_comes_from_a_matrix_or_a_function(kind):
    graph = social(40).without_rows(np.array([3]), np.array([17]))
    p = np.random.default_rng(0).uniform(size=(40, 40))
    there = graph.alive
    pairs = graph.source[there], graph.target[there]

    def scored(inviters, friends):
        return p[graph.nodes.rows(inviters), graph.nodes.rows(friends)]

    given = {"dense": p, "sparse": csr_array(p), "arcs": p[pairs], "function": scored}[kind]
    found = willing(graph, given)
    assert found.probability[found.alive].sum() == pytest.approx(p[pairs].sum())
    assert (table(found)[pairs] == p[pairs]).all()
    assert found.num_alive == 39


def test_a_recommender_says_who_is_willing():
    """Scores of a factorisation of who follows whom, through a logistic link, make the lists."""
    from recsys.data import Interactions
    from recsys.objectives import WholeData
    from recsys.problem import RecommenderProblem
    from recsys.train import TrainingOptions

    graph = social(60)
    ids = graph.nodes.ids.tolist()
    follows = {"user": [ids[u] for u in graph.source], "item": [ids[v] for v in graph.target]}
    data = Interactions.from_frame(pd.DataFrame(follows))
    problem = RecommenderProblem.build(
        data, model="mf", dim=8, objective=WholeData(a=0.1, l2=0.1), options=TrainingOptions(max_iterations=20)
    ).fit()
    scores = problem.scores(np.arange(data.n_users)).numpy()

    def invites(inviters, friends):
        return 1 / (1 + np.exp(-scores[data.users.rows(inviters), data.items.rows(friends)]))

    listed = HeteroIR().recommend(willing(graph, invites), ["p0"], 3)
    assert len(set(listed.friends["p0"])) == 3
    assert listed.friends["p0"] != HeteroIR().recommend(graph, ["p0"], 3).friends["p0"]


def test_wrong_arguments_are_named_at_once():
    graph = social(40)
    with pytest.raises(InvalidRequest) as raised:
        HeteroIR(capacity=0).recommend(graph, ["p0", "p0"], 0, np.full(40, 2.0))
    assert len(raised.value.problems) == 3
    with pytest.raises(InvalidRequest, match=r"(?s)`eps` must be above 1e-09.*got 0\).*`delta` must be above 1e-300"):
        HeteroIM(eps=0, delta=2.0).recommend(graph, ["p0"], 1)
    with pytest.raises(InvalidRequest, match="40 x 40"):
        willing(graph, np.ones(3))
    with pytest.raises(InvalidGraph):
        willing(graph, lambda inviters, friends: np.full(len(inviters), 1.5))
