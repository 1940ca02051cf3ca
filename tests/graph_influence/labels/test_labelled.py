"""A labelled graph as data: what its records are, what can be named, and what weights mean."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from graph_influence.errors import UnknownIds
from graph_influence.graph import SocialGraph
from graph_influence.labels import LabelledGraph, Labels
from graph_influence.surrogate import NonBacktracking
from tests.graph_influence.maximize.graphs import social
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.vocabulary import Vocabulary

SETS = [np.array(rows) for rows in ([0, 5], [7], [3, 4])]


@pytest.fixture(scope="module")
def data() -> LabelledGraph:
    graph = social(30)
    return LabelledGraph(graph, Labels.drawn(graph, SETS, runs=100))


def test_records_are_seed_sets_with_nodes_that_are_there(data: LabelledGraph) -> None:
    request = ForgetSet(users=("p2", "p7"))
    left, gone = data.without(request), data.positions(request)
    assert len(data) == 90
    assert len(left) == 2 * 28 == 90 - len(gone)
    # A user's node in each set, and the whole of the set that began with nobody else.
    expected = [k for k in range(90) if k % 30 in (2, 7) or k // 30 == 1]
    assert gone.tolist() == expected
    kept = np.delete(np.arange(90), gone)
    assert torch.equal(left.targets, torch.tensor(left.labels.probability[:, left.graph.nodes.alive].reshape(-1)))
    owners = data.units("user").owners
    assert owners[kept].tolist() == left.units("user").owners.tolist()
    assert torch.equal(data.of_records(torch.arange(90.0).view(3, 30))[kept], left.of_records(
        torch.arange(90.0).view(3, 30)[[0, 2]]))  # fmt: skip


def test_what_is_not_there_is_named(data: LabelledGraph) -> None:
    asked = ForgetSet(users=("p1", "nobody"), ties=(("p1", "p29"), ("p0", "p0")), items=(4,), records=(3,))
    with pytest.raises(UnknownIds) as caught:
        data.resolve(asked)
    for part in ("1 of 2 users: 'nobody'", "2 of 2 ties", "1 of 1 items: 4 (a social graph", "records: 3", "skip"):
        assert part in str(caught.value)
    assert data.resolve(asked, unknown="skip") == ForgetSet(users=("p1",))


def test_units_name_what_they_count(data: LabelledGraph) -> None:
    users, ties = data.units("user"), data.units("tie")
    assert users.forget_set(np.array([3, 0])) == ForgetSet(users=("p0", "p3"))
    assert set(users.counts.tolist()) == {3}
    graph = data.graph
    pairs = {tuple(sorted(pair)) for pair in zip(graph.source.tolist(), graph.target.tolist(), strict=True)}
    assert {tuple(pair) for pair in ties.ends.tolist()} == pairs
    everything = graph.without(ties.forget_set(np.arange(len(ties))))
    assert not everything.alive.any()
    first = ties.forget_set(np.array([0])).ties
    assert {frozenset(pair) for pair in first} == {frozenset(graph.nodes.take(ties.ends[0]))}
    left = data.without(ForgetSet(users=("p4",)))
    assert not np.isin(left.units("tie").keys, ties.keys, invert=True).any()  # keys stay, whatever leaves
    assert left.units("user").forget_set(np.array([4, 5])) == ForgetSet(users=("p5",))
    with pytest.raises(ValueError, match='"user", "tie" or "record"'):
        data.units("item")


def test_a_tie_has_its_key_however_rows_are_numbered(data: LabelledGraph) -> None:
    graph, number = data.graph, np.random.default_rng(0).permutation(30)
    ids = Vocabulary(graph.nodes.take(np.argsort(number)))
    again = SocialGraph.from_arcs(number[graph.source], number[graph.target], graph.probability, nodes=ids)
    keys: list[dict[frozenset[str], int]] = []
    for one in (graph, again):
        ties = LabelledGraph(one, data.labels).units("tie")
        ends = (frozenset(one.nodes.take(pair)) for pair in ties.ends)
        keys.append(dict(zip(ends, ties.keys.tolist(), strict=True)))
    assert keys[0] == keys[1] and len({*keys[0].values()}) == len(keys[0])


@pytest.mark.parametrize("unit", ["user", "tie"])
def test_a_weight_of_0_reads_as_if_it_had_left(unit: str, data: LabelledGraph) -> None:
    surrogate = NonBacktracking(rounds=4)
    units = data.units(unit)
    for chosen in ([3], [0, 6, 9]):
        weights = torch.ones(len(units), dtype=torch.float64)
        weights[chosen] = 0.0
        left = data.without(units.forget_set(np.array(chosen)))
        there = np.flatnonzero(left.graph.nodes.alive)
        ours, theirs = (surrogate(*one.inputs())[:, there] for one in (data.weighted(unit, weights), left))
        torch.testing.assert_close(ours, theirs, **EXACT64)
        assert not torch.allclose(ours, surrogate(*data.inputs())[:, there])


def test_weights_of_a_wrong_shape_are_refused(data: LabelledGraph) -> None:
    with pytest.raises(ValueError, match=r"\(30,\) for 'user' \(got \(7,\)\)"):
        data.weighted("user", torch.ones(7))


def test_the_digest_tells_what_was_learned_from(data: LabelledGraph) -> None:
    graph = data.graph
    same = LabelledGraph(social(30), Labels.drawn(graph, SETS, runs=100))
    others = [
        LabelledGraph(graph, Labels.drawn(graph, SETS, runs=100, seed=1)),
        LabelledGraph(graph, Labels.drawn(graph, SETS[:2], runs=100)),
        data.without(ForgetSet(users=("p29",))),
        data.weighted("user", torch.full((30,), 0.5)),
    ]
    assert data.digest() == same.digest()
    assert len({data.digest(), *(one.digest() for one in others)}) == 5


@pytest.mark.parametrize("unit", ["user", "tie"])
def test_a_second_weight_multiplies_the_first(data: LabelledGraph, unit: Literal["user", "tie"]) -> None:
    random = torch.Generator().manual_seed(3)
    one, two = torch.rand(2, len(data.units(unit)), generator=random, dtype=torch.float64)
    _, seeds, p = data.weighted(unit, one).weighted(unit, two).inputs()
    _, expected_seeds, expected_p = data.weighted(unit, one * two).inputs()
    assert p is not None and expected_p is not None
    torch.testing.assert_close(p, expected_p, **EXACT64)
    torch.testing.assert_close(seeds, expected_seeds, **EXACT64)
