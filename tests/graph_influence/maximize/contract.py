"""What every maximiser must do, whatever it is: a suite to inherit from."""

from __future__ import annotations

from abc import ABC
from functools import cache

import numpy as np
import pytest
from numba.core import config

from graph_influence.coins import purpose
from graph_influence.diffusion import diffusion
from graph_influence.errors import InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize import maximize, maximizer
from graph_influence.maximize.evaluation import evaluated
from graph_influence.rrsets import RRSets
from tests.graph_influence.maximize.graphs import social

K = 10


@cache
def found(method, model="ic", seed=0):
    return maximize(social(), K, method, model=model, seed=seed)


def spread(graph, nodes, model="ic"):
    return evaluated(graph, graph.nodes.rows(nodes), model, 1234)


class MaximizerContract(ABC):
    """A subclass names a method; `random` says whether the seed may change what it chooses."""

    method: str
    random = True

    @pytest.mark.parametrize("model", ["ic", "lt"])
    def test_it_answers_with_that_many_different_people_and_says_how(self, model):
        answer = found(self.method, model)
        assert len(answer.nodes) == len(set(answer.nodes)) == K
        assert set(answer.nodes) <= set(social().nodes.ids)
        assert answer.method == self.method
        assert answer.arguments["k"] == K and answer.arguments["model"] == model
        assert answer.seconds > 0

    @pytest.mark.parametrize("model", ["ic", "lt"])
    def test_its_spread_is_that_of_simulated_cascades(self, model):
        answer = found(self.method, model)
        simulated = diffusion(model, social(), runs=20_000, seed=7).simulate(answer.nodes).spread
        half = (answer.spread.high - answer.spread.low) / 2
        error = np.hypot(half / 1.96, simulated.standard_error)
        assert abs(answer.spread.mean - simulated.mean) < 4 * error
        assert answer.spread.low < answer.spread.mean < answer.spread.high
        assert half < 0.05 * answer.spread.mean

    def test_the_same_seed_gives_the_same_answer_on_any_number_of_threads(self, monkeypatch):
        answer = found(self.method)
        monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 3)
        again = maximize(social(), K, self.method)
        assert (again.nodes, again.spread, again.ratio) == (answer.nodes, answer.spread, answer.ratio)

    def test_no_two_stores_of_sets_share_their_coins_and_all_that_choose_and_prove_are_counted(self, monkeypatch):
        """Those that choose, those that judge and those that estimate: else the second know of the first."""
        stores, begin = list[RRSets](), RRSets.__init__

        def noted(store, *given, **options):
            begin(store, *given, **options)
            stores.append(store)

        monkeypatch.setattr(RRSets, "__init__", noted)
        answer = maximize(social(), K, self.method)
        assert len({store.seed for store in stores}) == len(stores) > 0
        estimating = purpose(0, "evaluation")
        assert answer.sets == sum(len(store) for store in stores if store.seed != estimating)

    def test_another_seed_changes_what_is_random_and_nothing_else(self):
        answers = [found(self.method, seed=seed) for seed in range(3)]
        assert len({answer.spread for answer in answers}) == 3
        if not self.random:
            assert len({answer.nodes for answer in answers}) == 1

    @pytest.mark.parametrize("model", ["ic", "lt"])
    def test_it_beats_random_people(self, model):
        graph, random = social(), np.random.default_rng(0)
        drawn = [spread(graph, random.choice(graph.nodes.ids, K, replace=False), model).mean for _ in range(10)]
        assert spread(graph, found(self.method, model).nodes, model).mean > 1.3 * max(drawn)

    def test_who_comes_first_reaches_more(self):
        graph, nodes = social(), found(self.method).nodes
        assert spread(graph, nodes[: K // 2]).low > spread(graph, nodes[K // 2 :]).high

    def test_people_who_left_are_never_chosen(self):
        graph = social()
        gone = graph.nodes.rows(found(self.method).nodes)
        left = graph.without_rows(gone, np.empty(0, dtype=np.int64))
        chosen = maximize(left, K, self.method)
        assert None not in chosen.nodes
        assert not set(chosen.nodes) & set(found(self.method).nodes)

    def test_everybody_can_be_chosen(self):
        graph = social(20).without_rows(np.array([0, 7]), np.empty(0, dtype=np.int64))
        everybody = maximize(graph, 18, self.method)
        assert sorted(everybody.nodes) == sorted(graph.nodes.ids[graph.nodes.alive])
        assert everybody.spread.mean == 18
        assert len(maximize(SocialGraph.from_arcs([], [], nodes=1), 1, self.method).nodes) == 1

    @pytest.mark.parametrize("k", [0, -1, 19, 20])
    def test_more_than_there_are_cannot_be_chosen(self, k):
        graph = social(20).without_rows(np.array([0, 7]), np.empty(0, dtype=np.int64))
        with pytest.raises(InvalidRequest, match=f"`k` must be from 1 to the 18 people who are there .got {k}."):
            maximize(graph, k, self.method)

    def test_everything_that_is_wrong_is_said_at_once(self):
        graph = SocialGraph.from_arcs([0, 1, 1], [2, 2, 3], 0.7, nodes=4)
        with pytest.raises(InvalidRequest) as raised:
            maximize(graph, 5, self.method, model="lt")
        text = str(raised.value)
        assert len(raised.value.problems) == 2 and "`k`" in text and "linear threshold" in text
        assert maximizer(self.method).maximize(graph, 4).nodes
        with pytest.raises(InvalidRequest, match="`model`"):
            maximize(graph, 1, self.method, model="sir")  # pyright: ignore[reportArgumentType]
