from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from graph_influence.errors import InvalidGraph, UnknownIds
from graph_influence.graph import SocialGraph
from tests.graph_influence.listing import listed
from tests.oracles.cascades import ends, random_graph
from tests.oracles.traces import in_object
from unlearn.forget import ForgetSet
from unlearn.vocabulary import Vocabulary

NONE = np.array([], dtype=np.int64)


def test_arcs_are_ordered_by_target_then_descending_probability_then_source():
    graph = SocialGraph.from_arcs([3, 0, 1, 2, 0], [1, 1, 2, 1, 3], [0.2, 0.7, 0.5, 0.7, 0.1], nodes=4)
    assert ends(graph) == [(0, 1), (2, 1), (3, 1), (1, 2), (0, 3)]
    assert graph.probability.tolist() == [0.7, 0.7, 0.2, 0.5, 0.1]
    assert graph.target.tolist() == [1, 1, 1, 2, 3]
    assert (graph.in_degree().tolist(), graph.out_degree().tolist()) == ([0, 3, 1, 1], [2, 1, 1, 1])


@pytest.mark.parametrize("seed", range(20))
def test_both_adjacencies_hold_the_same_arcs(seed):
    graph = random_graph(seed)
    ptr, arcs = graph.out
    assert sorted(arcs.tolist()) == list(range(graph.num_arcs))
    for row in range(graph.num_nodes):
        leaving = arcs[ptr[row] : ptr[row + 1]]
        assert (graph.source[leaving] == row).all()
        assert (np.diff(graph.target[leaving]) > 0).all()


def test_loops_are_dropped_and_undirected_edges_go_both_ways_once():
    graph = SocialGraph.from_arcs([0, 1, 1, 2], [1, 0, 1, 1], 0.5, nodes=4, undirected=True)
    assert listed(graph) == [(0, 1, 0.5), (1, 0, 0.5), (1, 2, 0.5), (2, 1, 0.5)]
    assert repr(graph) == "SocialGraph(4 nodes, 4 arcs)"
    ends = np.array([[0, 1], [1, 3]])
    assert SocialGraph.from_arcs(*ends, nodes=ends.max() + 1).num_nodes == 4  # a number as numpy has it


@pytest.mark.parametrize(("parallel", "p"), [("first", 0.2), ("combine", 1 - 0.8 * 0.5 * 0.9), ("sum", 0.8)])
def test_parallel_arcs_become_one_by_the_policy(parallel, p):
    graph = SocialGraph.from_arcs([0, 0, 1, 0], [1, 1, 0, 1], [0.2, 0.5, 0.3, 0.1], nodes=2, parallel=parallel)
    assert listed(graph) == [(0, 1, pytest.approx(p)), (1, 0, 0.3)]


def test_certain_and_tiny_parallel_arcs_combine_exactly():
    graph = SocialGraph.from_arcs([0, 0, 1, 1], [1, 1, 0, 0], [1, 0.5, 1e-12, 1e-12], nodes=2, parallel="combine")
    assert graph.probability.tolist() == [pytest.approx(2e-12, rel=1e-9), 1.0]


def test_every_problem_is_told_at_once():
    with pytest.raises(InvalidGraph) as caught:
        SocialGraph.from_arcs(
            [0, 5, 1, 1, 2], [1, 0, 0, 0, -1], [1.5, 0.1, 0.2, np.nan, 0.1], nodes=3, parallel="raise"
        )
    text = str(caught.value)
    assert "rows of nodes from 0 to 2 (2 bad, arc 1, 4)" in text
    assert "numbers from 0 to 1 (2 bad, arc 0, 3)" in text
    with pytest.raises(InvalidGraph, match=r"at most one arc \(1 bad, arc 2\)"):
        SocialGraph.from_arcs([0, 1, 0], [1, 0, 1], nodes=2, parallel="raise")
    with pytest.raises(InvalidGraph, match=r"at most 1 \(1 bad, arc 0\)"):
        SocialGraph.from_arcs([0, 0], [1, 1], [0.6, 0.6], nodes=2, parallel="sum")
    with pytest.raises(InvalidGraph, match="of one length"):
        SocialGraph.from_arcs([0, 1], [1], nodes=2)
    with pytest.raises(InvalidGraph, match="`parallel` must be one of"):
        SocialGraph.from_arcs([0], [1], nodes=2, parallel="last")


@pytest.mark.parametrize("rows", [[0.5, 1.0], [1.0, 2.0], [True, False], ["0", "1"], [2**64, 1]])
def test_rows_that_are_no_integers_are_nobodys(rows):
    for pair, name in (((rows, [1, 2]), "source"), (([1, 2], rows), "target")):
        with pytest.raises(InvalidGraph, match=f"`{name}` must hold rows of nodes as integers"):
            SocialGraph.from_arcs(*pair, nodes=3)
    assert SocialGraph.from_arcs([], np.empty(0), nodes=3).num_arcs == 0  # of which NumPy makes floats


def test_a_frame_names_its_rows_in_problems():
    frame = pd.DataFrame({"a": ["x", "y", None, "z"], "b": ["y", "z", "x", " "], "p": ["0.1", "2", "0.3", "0.4"]})
    frame.index = pd.Index([4, 5, 7, 9], name="line")
    with pytest.raises(InvalidGraph) as caught:
        SocialGraph.from_frame(frame, source="a", target="b", probability="p")
    text = str(caught.value)
    assert all(part in text for part in ("`a` must not be missing (1 bad, line 7)", "(1 bad, line 9)", "line 5"))
    good = SocialGraph.from_frame(frame[:1], source="a", target="b", probability="p")
    assert listed(good) == [("x", "y", 0.1)]
    with pytest.raises(InvalidGraph, match="must exist"):
        SocialGraph.from_frame(frame, source="a", target="c")
    with pytest.raises(InvalidGraph, match="both int or both str"):
        SocialGraph.from_frame(pd.DataFrame({"source": [1], "target": ["x"]}))
    with pytest.raises(InvalidGraph, match=r"`b` must be a node of the graph \(1 bad, line 5\)"):
        SocialGraph.from_frame(frame[:2], source="a", target="b", nodes=Vocabulary(["x", "y"]))


def test_weights_above_one_are_refused_by_who_needs_them():
    nodes = Vocabulary(["a", "b", "c", "d"])
    SocialGraph.from_arcs([0, 1], [2, 2], [0.5, 0.5], nodes=nodes).require_weights()
    heavy = SocialGraph.from_arcs([0, 1, 0], [2, 2, 3], [0.6, 0.5, 1.0], nodes=nodes)
    with pytest.raises(InvalidGraph, match=r"at most 1 \(1 bad, node c\).*largest sum is 1.1"):
        heavy.require_weights()


def test_arcs_are_found_by_ids_of_their_ends():
    nodes = Vocabulary(["a", "b", "c"])
    graph = SocialGraph.from_arcs([0, 1, 2], [1, 2, 1], 0.5, nodes=nodes)
    found = graph.arcs([("a", "b"), ("b", "a"), ("c", "b"), ("x", "b"), ("b", "c")])
    assert [ends(graph)[arc] if arc >= 0 else None for arc in found] == [(0, 1), None, (2, 1), None, (1, 2)]


def test_the_ends_of_arcs_are_what_they_are_found_by():
    graph = SocialGraph.from_arcs([3, 0, 1, 2, 0], [1, 1, 2, 1, 3], nodes=Vocabulary(["a", "b", "c", "d"]))
    assert graph.pairs(np.array([4, 0])) == (("a", "d"), ("a", "b"))
    assert graph.arcs(graph.pairs(np.arange(5))).tolist() == list(range(5))


def test_removal_leaves_tombstones_and_everybody_else_in_place():
    graph = random_graph(3)
    gone, tie = 1, int(np.flatnonzero((graph.source != 1) & (graph.target != 1))[0])
    left = graph.without_rows(np.array([gone]), np.array([tie]))
    expected = [1 not in pair and arc != tie for arc, pair in enumerate(ends(graph))]
    assert left.alive.tolist() == expected
    assert left.probability.tolist() == np.where(expected, graph.probability, 0.0).tolist()
    assert (left.num_nodes, left.num_alive, left.num_arcs) == (graph.num_nodes, graph.num_nodes - 1, graph.num_arcs)
    for name in ("target", "source", "in_ptr"):
        assert np.array_equal(getattr(left, name), getattr(graph, name))
    assert graph.alive.all() and graph.probability[tie] > 0


def test_users_and_ties_leave_by_their_own_ids_and_unknown_ones_change_nothing():
    nodes = Vocabulary(["a", "b", "c"])
    graph = SocialGraph.from_arcs([0, 1, 1, 2], [1, 0, 2, 1], 0.5, nodes=nodes)
    left = graph.without(ForgetSet(ties=(("a", "b"),)))
    assert listed(left) == [("b", "a", 0.5), ("b", "c", 0.5), ("c", "b", 0.5)]
    left = left.without(ForgetSet(users=("a",)))
    assert listed(left) == [("b", "c", 0.5), ("c", "b", 0.5)]
    forget = ForgetSet(users=("a", "b"), ties=(("c", "x"), ("b", "c")))
    with pytest.raises(UnknownIds, match=r"2 of 4 are unknown or forgotten: 'a', \('c', 'x'\)"):
        left.without(forget)
    assert listed(left.without(forget, unknown="skip")) == []


@pytest.mark.parametrize("seed", range(30))
def test_renormalised_is_weighted_cascade_on_what_is_left(seed):
    graph = random_graph(seed)
    graph = graph.with_probability((1.0 / np.maximum(graph.in_degree(), 1))[graph.target])
    rows = np.arange(0, graph.num_nodes, 4)
    ties = np.arange(0, graph.num_arcs, 5)
    left = graph.without_rows(rows, ties, renormalise=True)
    expected = np.where(left.alive, (1.0 / np.maximum(left.in_degree(), 1))[left.target], 0.0)
    assert np.array_equal(left.probability, expected)
    assert np.array_equal(left.alive, graph.without_rows(rows, ties).alive)


def test_other_probabilities_are_not_renormalised():
    graph = SocialGraph.from_arcs([0, 1, 2], [2, 2, 1], [0.5, 0.4, 1.0], nodes=3)
    with pytest.raises(InvalidGraph, match="weighted cascade"):
        graph.without(ForgetSet(users=(0,)), renormalise=True)


def test_new_probabilities_keep_ids_where_they_descend():
    graph = random_graph(5).without_rows(NONE, np.array([1]))
    same = graph.with_probability(0.25)
    assert np.array_equal(same.alive, graph.alive)
    assert same.probability.tolist() == np.where(graph.alive, 0.25, 0.0).tolist()
    other = graph.with_probability(np.linspace(0, 1, graph.num_arcs))
    p = dict(zip(ends(graph), np.linspace(0, 1, graph.num_arcs).tolist(), strict=True))
    assert listed(other) == [(u, v, p[u, v]) for u, v, _ in listed(graph)]
    for start, end in zip(other.in_ptr[:-1], other.in_ptr[1:], strict=True):
        assert (np.diff(other.probability[start:end]) <= 0).all()
    for wrong in ([0.5], np.full(graph.num_arcs, 1.5), np.full(graph.num_arcs, np.nan)):
        with pytest.raises(InvalidGraph):
            graph.with_probability(wrong)


def test_parts_of_the_unit_interval_tile_it_and_stay_where_they_are():
    graph = random_graph(8, "lt")
    for start, end in zip(graph.in_ptr[:-1], graph.in_ptr[1:], strict=True):
        expected = np.cumsum(graph.probability[start:end]) - graph.probability[start:end]
        assert graph.share[start:end] / 2.0**53 == pytest.approx(expected, abs=1e-12)
    left = graph.without_rows(np.array([0]), NONE)
    assert np.array_equal(left.share, graph.share)
    assert np.array_equal(left.without_rows(np.array([1]), NONE).share, graph.share)
    renormalised = graph.with_probability((1.0 / np.maximum(graph.in_degree(), 1))[graph.target])
    renormalised = renormalised.without_rows(np.array([0]), NONE, renormalise=True)
    assert renormalised.share[renormalised.alive] / 2.0**53 == pytest.approx(
        renormalised.compact().share / 2.0**53, abs=1e-12
    )


@pytest.mark.parametrize("seed", range(10))
def test_compaction_numbers_anew_what_is_left(seed):
    graph = random_graph(seed)
    left = graph.without_rows(np.array([0]), np.arange(0, graph.num_arcs, 4))
    compact = left.compact()
    assert listed(compact) == listed(left)
    assert (compact.num_nodes, compact.num_arcs) == (left.num_alive, int(left.alive.sum()))
    again = SocialGraph.from_arcs(
        compact.source, compact.target, compact.probability, nodes=compact.nodes, parallel="raise"
    )
    assert np.array_equal(again.source, compact.source)


def test_a_removed_id_is_nowhere_after_compaction():
    canary = "5f0c1e9ad4b24d7f8e3a6b9c0d1e2f3a"
    nodes = Vocabulary(["a", canary, "b"])
    weight = 0.123456789012345
    graph = SocialGraph.from_arcs([0, 1, 1, 2], [1, 0, 2, 0], [0.5, weight, 0.5, 0.5], nodes=nodes)
    assert graph.out and graph.nodes.keys.any() and canary in graph.nodes
    assert in_object(graph, [canary]) and in_object(graph, [weight])
    left = graph.without(ForgetSet(users=(canary,)))
    assert not in_object(left, [canary])
    compact = left.compact()
    assert compact.out and not in_object(compact, [canary]) and not in_object(compact, [weight])
    number = 0x5F0C1E9AD4B24D7F >> 1
    graph = SocialGraph.from_arcs([0, 1, 1, 2], [1, 0, 2, 0], nodes=Vocabulary([1, number, 2]))
    assert number in graph.nodes
    compact = graph.without(ForgetSet(users=(number,))).compact()
    held = np.concatenate([np.ravel(part).view(np.uint8) for part in (compact.nodes.ids, compact.source, *compact.out)])
    assert np.int64(number).tobytes() not in held.tobytes()


def test_a_graph_without_arcs_is_a_graph():
    graph = SocialGraph.from_arcs([], [], nodes=3)
    left = graph.without(ForgetSet(users=(1,))).compact()
    assert (left.num_nodes, left.num_arcs, len(left.share)) == (2, 0, 0)
    left.require_weights()
    assert SocialGraph.from_arcs([], [], nodes=0).with_probability(0.5).num_nodes == 0
