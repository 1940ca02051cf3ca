"""Ratios and bounds against the best seeds there are, on graphs small enough to enumerate."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from graph_influence.maximize import Hist, Imm, Opim
from graph_influence.maximize.base import ranked
from graph_influence.maximize.coverage import greedy
from graph_influence.maximize.judged import Collections
from tests.graph_influence.maximize.graphs import Enumerated
from tests.oracles.cascades import random_graph

GRAPHS = range(40)
METHODS = [Opim(), Opim(eps=0.1), Opim(share=0.8, delta=0.2), Hist(eps=0.2), Hist(), Imm(eps=0.3)]


def cases(model):
    for seed in GRAPHS:
        graph = random_graph(seed, model)
        yield seed, graph, Enumerated(graph, model), 1 + seed % 3 if graph.num_nodes > 3 else 1


@pytest.mark.parametrize("model", ["ic", "lt"])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_proven_ratio_holds(method, model):
    ratios, missing = [], 0
    for seed, graph, truth, k in cases(model):
        answer = type(method)(**(method.arguments() | {"model": model, "seed": seed})).maximize(graph, k)
        reached, best = truth.spread(graph.nodes.rows(answer.nodes)), truth.best(k)
        assert answer.ratio is not None
        missing += reached < answer.ratio * best
        ratios.append((answer.ratio, reached / best))
    # Each answer may be wrong with probability delta = 1/n or .2; that it never is shows how cautious the bounds are.
    assert missing == 0
    proven, true = np.mean(ratios, axis=0)
    assert true > 0.97
    if getattr(method, "eps", None) is None and method.arguments().get("share") is None:
        assert proven > 0.85  # and the proof is worth something


@pytest.mark.parametrize("model", ["ic", "lt"])
def test_the_truth_lies_between_the_bounds(model):
    p, below, above, plain, looks = 0.1, 0, 0, 0, 0
    for seed, graph, truth, k in cases(model):
        best, n = truth.best(k), graph.num_alive
        for look in range(8):
            pair = Collections.draw(graph, model, 100 * seed + look)
            pair.grow(60)
            chosen = greedy(pair.selection, k, ranked(graph))
            evidence = pair.evidence(chosen, log(1 / p))
            below += evidence.low > truth.spread(chosen.rows)
            above += evidence.high < best
            plain += pair.judging.spread(chosen.rows).mean > truth.spread(chosen.rows) + 1e-9
            looks += 1
            assert evidence.low < evidence.high <= n
    assert looks == 320
    assert max(below, above) <= p * looks + 4 * (p * looks) ** 0.5
    assert plain > 0.3 * looks  # what an estimate without a bound is


def test_more_sets_prove_more_and_find_more():
    graph = random_graph(7)
    truth, answers = Enumerated(graph, "ic"), [Opim(share=share).maximize(graph, 2) for share in (0.5, 0.8, 0.96)]
    assert [answer.sets for answer in answers] == sorted({answer.sets for answer in answers})
    assert [answer.ratio for answer in answers] == sorted(answer.ratio for answer in answers)
    assert truth.spread(graph.nodes.rows(answers[-1].nodes)) == pytest.approx(truth.best(2))
