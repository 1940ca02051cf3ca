from __future__ import annotations

import numpy as np
import pytest

from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from graph_influence.schemes import SCHEMES, constant, given, trivalency, weighted_cascade
from tests.graph_influence.listing import listed
from tests.oracles.cascades import random_graph
from unlearn.forget import ForgetSet
from unlearn.vocabulary import Vocabulary


def fan(names="abcde"):
    """Everybody points at the first, and the first at the second."""
    rest = range(1, len(names))
    return SocialGraph.from_arcs([*rest, 0], [0] * len(rest) + [1], nodes=Vocabulary(list(names)))


def test_weighted_cascade_shares_c_among_in_arcs():
    assert listed(weighted_cascade(fan())) == [("a", "b", 1.0), *((name, "a", 0.25) for name in "bcde")]
    assert set(weighted_cascade(fan(), c=0.5).probability.tolist()) == {0.125, 0.5}
    assert set(weighted_cascade(fan(), c=2).probability.tolist()) == {0.5, 1.0}
    weighted_cascade(fan()).require_weights()
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="must be positive"):
            weighted_cascade(fan(), c=wrong)


@pytest.mark.parametrize("seed", range(10))
def test_weighted_cascade_after_a_deletion_is_the_renormalised_graph(seed):
    graph = weighted_cascade(random_graph(seed))
    gone = ForgetSet(users=(0,))
    after = weighted_cascade(graph.without(gone))
    assert np.array_equal(after.probability, graph.without(gone, renormalise=True).probability)
    frozen = graph.without(gone)
    assert np.array_equal(frozen.probability[frozen.alive], graph.probability[frozen.alive])


def test_constant_is_everywhere():
    assert constant(fan(), p=0.05).probability.tolist() == [0.05] * 5
    with pytest.raises(InvalidGraph):
        constant(fan(), p=1.1)
    graph = random_graph(1)
    assert given(graph) is graph


def test_trivalency_is_drawn_once_for_the_ids_at_both_ends():
    names = [f"user{number}" for number in range(60)]
    pairs = [(u, v) for u in range(60) for v in range(60) if u != v]
    graph = SocialGraph.from_arcs(*zip(*pairs, strict=True), nodes=Vocabulary(names))
    drawn = trivalency(graph, seed=3)
    values, counts = np.unique(drawn.probability, return_counts=True)
    assert values.tolist() == [0.001, 0.01, 0.1]
    assert (np.abs(counts - 1180) < 4 * np.sqrt(3540 * 2 / 9)).all()
    of = {(u, v): p for u, v, p in listed(drawn)}
    assert sum(of[u, v] != of[v, u] for u, v in of) > 1000
    shuffled = [pairs[place] for place in np.random.default_rng(0).permutation(len(pairs))]
    other = SocialGraph.from_arcs(*zip(*shuffled, strict=True), nodes=Vocabulary(names)).without(
        ForgetSet(users=("user7", "user0"))
    )
    for again in (trivalency(other, seed=3), trivalency(other.compact(), seed=3)):
        assert {(u, v): p for u, v, p in listed(again)}.items() <= of.items()
    assert listed(trivalency(graph, seed=4)) != listed(drawn)


def test_schemes_are_found_by_name():
    assert list(SCHEMES) == ["weighted_cascade", "constant", "trivalency", "given"]
