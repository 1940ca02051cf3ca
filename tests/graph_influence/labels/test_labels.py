"""Labels that follow a deletion, against labels drawn anew on what is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graph_influence.diffusion import diffusion
from graph_influence.graph import SocialGraph
from graph_influence.labels import Labels
from graph_influence.labels.replay import Deletion, replay
from tests.graph_influence.maximize.graphs import social
from tests.oracles.cascades import worlds
from unlearn.forget import ForgetSet

RUNS = 300
SETS = [np.array(rows) for rows in ([0, 5, 40], [7], [3, 4], [88, 90, 91, 93], [0, 1])]


def some_ties(graph: SocialGraph, count: int, seed: int = 0) -> ForgetSet:
    arcs = np.random.default_rng(seed).permutation(np.flatnonzero(graph.alive))[:count]
    return ForgetSet(ties=zip(*(graph.nodes.take(side[arcs]) for side in (graph.source, graph.target)), strict=True))


REQUESTS = {
    "a hub": ForgetSet(users=("p0",)),
    "the only seed of a set": ForgetSet(users=("p7",)),
    "nobody's neighbour": ForgetSet(users=("p99",)),
    "several": ForgetSet(users=("p1", "p3", "p4", "p50")),
    "ties": some_ties(social(100), 20),
    "ties, also of a user": ForgetSet(users=("p2",)) | some_ties(social(100), 40, seed=1),
    "all ties": some_ties(social(100), 10_000),
}


@pytest.mark.parametrize("model", ["ic", "lt"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_following_a_deletion_gives_the_bits_of_drawing_anew(request_: ForgetSet, model: str) -> None:
    before = social(100)
    labels = Labels.drawn(before, SETS, runs=RUNS, seed=3, model=model)
    after = before.without(request_)
    ours = labels.without(before, after)
    anew = Labels.drawn(after, ours.sets, runs=RUNS, seed=3, model=model, numbers=ours.numbers)
    assert np.array_equal(ours.counts, anew.counts)
    gone = before.nodes.rows(request_.users)
    left = [np.setdiff1d(rows, gone) for rows in SETS]
    assert [rows.tolist() for rows in ours.sets] == [rows.tolist() for rows in left if len(rows)]
    assert ours.numbers.tolist() == [number for number, rows in enumerate(left) if len(rows)]
    assert (ours.counts[:, gone] == 0).all()
    if before.in_degree()[gone].any() or request_.ties:
        assert (labels.counts[ours.numbers] != ours.counts).any()


@pytest.mark.parametrize("model", ["ic", "lt"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_of_few_runs_every_one_that_went_through_is_followed(request_: ForgetSet, model: str) -> None:
    """Nobody knows yet whether to give up: seeds that leave are followed, too."""
    before = social(100)
    labels, after = Labels.drawn(before, SETS, runs=50, seed=3, model=model), before.without(request_)
    ours = labels.without(before, after)
    anew = Labels.drawn(after, ours.sets, runs=50, seed=3, model=model, numbers=ours.numbers)
    assert np.array_equal(ours.counts, anew.counts)


@pytest.mark.parametrize("model", ["ic", "lt"])
def test_deletions_one_after_another_are_one_deletion(model: str) -> None:
    graph, labels = social(100), Labels.drawn(social(100), SETS, runs=RUNS, model=model)
    once = labels.without(graph, graph.without(REQUESTS["several"] | REQUESTS["ties, also of a user"]))
    first = graph.without(REQUESTS["several"])
    left = graph.without(REQUESTS["several"] | REQUESTS["ties, also of a user"])
    twice = labels.without(graph, first).without(first, left)
    assert np.array_equal(once.counts, twice.counts)


@pytest.mark.parametrize("model", ["ic", "lt"])
def test_only_runs_that_met_the_deleted_are_run_again(model: str) -> None:
    graph, rows, key = social(100), np.array([60, 61]), np.uint64(5)
    whole = diffusion(model, graph, runs=RUNS, seed=5).simulate_rows(rows)
    for user in ("p0", "p30", "p80"):
        (row,) = graph.nodes.rows([user])
        lost = np.zeros(graph.num_nodes, dtype=np.int32)
        again = replay(
            Deletion.between(graph, graph.without(ForgetSet(users=(user,))), model), rows, key, RUNS, np.inf, lost
        )
        assert again == lost[row] == whole.activations[row]  # exactly the runs in which the user was active


def test_labels_are_activation_probabilities() -> None:
    graph = SocialGraph.from_arcs([0, 1, 0, 2], [1, 2, 3, 3], [0.5, 0.4, 0.3, 0.9], nodes=4)
    truth = worlds(graph, "ic")
    exact = truth.chance @ truth.reached([0])
    labels = Labels.drawn(graph, [np.array([0])], runs=20_000)
    error = np.maximum(labels.noise[0], 1e-12)
    assert (np.abs(labels.probability[0] - exact) < 4 * error).all()
    assert labels.noise[0] == pytest.approx(np.sqrt(exact * (1 - exact) / 20_000), abs=1e-4)


def test_sets_hold_whom_they_start_from_and_whom_they_ever_reached() -> None:
    graph = SocialGraph.from_arcs([0, 3], [1, 4], [0.5, 0.0], nodes=5)
    drawn = Labels.drawn(graph, [np.array([0]), np.array([3, 4])], runs=100)
    masked = replace(drawn, counts=np.zeros_like(drawn.counts))  # what a deletion by the counts alone would leave
    for row, reached, starts in ((0, [0], [0]), (1, [0], []), (2, [], []), (4, [1], [1])):
        marked = np.arange(5) == row
        assert np.flatnonzero(drawn.holding(marked)).tolist() == reached
        assert np.flatnonzero(masked.holding(marked)).tolist() == starts


def test_sets_have_coins_of_their_own() -> None:
    labels = Labels.drawn(social(100), [np.array([0]), np.array([0])], runs=200)
    assert not np.array_equal(*labels.counts)
