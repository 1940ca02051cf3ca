"""What a surrogate remembers: exact ones make no error and know no deleted arc; one that knows arcs by heart does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from graph_influence.forget_sets import random_ties
from graph_influence.graph import SocialGraph
from graph_influence.labels import LabelledGraph, Labels
from graph_influence.surrogate import NonBacktracking, Surrogate, TensorGraph
from graph_influence.surrogate_audit import SpreadErrors, label_shift, reinsertion_auc
from tests.graph_influence.maximize.graphs import social
from unlearn.forget import ForgetSet

SETS = [np.array([0, 1]), np.array([50, 60, 70])]


def labelled(graph: SocialGraph, runs: int = 1_000) -> LabelledGraph:
    return LabelledGraph(graph, Labels.drawn(graph, SETS, runs=runs))


def test_an_exact_surrogate_errs_by_noise_alone() -> None:
    tree = SocialGraph.from_arcs([0, 1, 1, 3], [1, 2, 3, 4], [0.7, 0.6, 0.5, 0.8], nodes=5)
    data = LabelledGraph(tree, Labels.drawn(tree, [np.array([0])], runs=20_000))
    exact, truncated = (SpreadErrors.of(NonBacktracking(rounds), data) for rounds in (10, 1))
    assert exact.node < 4 * data.labels.noise.max()
    assert exact.spread[0] < 0.01
    assert truncated.node > 5 * exact.node


def test_errors_are_those_of_who_is_there() -> None:
    class Constant(Surrogate):
        name = "constant"

        def forward(
            self,
            graph: TensorGraph,
            seeds: Tensor,
            probability: Tensor | None = None,
            susceptible: Tensor | None = None,
        ) -> Tensor:
            return torch.full_like(seeds, 0.25) * graph.there

    data = labelled(social(100)).without(ForgetSet(users=("p3", "p50")))
    truth = data.labels.probability
    errors = SpreadErrors.of(Constant(), data)
    assert errors.spread == pytest.approx(np.abs(0.25 * 98 - truth.sum(1)) / truth.sum(1))
    there = np.delete(truth, [3, 50], axis=1)
    assert errors.node == pytest.approx(np.sqrt(((there - 0.25) ** 2).mean()))


def test_labels_shift_more_by_a_hub_than_by_noise_and_less_by_a_tie() -> None:
    data = labelled(social(100))
    moved, noise = label_shift(data, data.without(ForgetSet(users=("p0", "p1", "p2"))))
    assert moved > 4 * noise
    some = [label_shift(data, data.without(random_ties(data.graph, 1, seed=k))) for k in range(20)]
    assert np.median([moved for moved, _ in some]) < noise
    assert label_shift(data, data)[0] == 0.0
    # Coins of its own see exactly that noise.
    other = LabelledGraph(data.graph, Labels.drawn(data.graph, SETS, runs=1_000, seed=1))
    shift, noise = label_shift(data, other)
    assert 0.7 * noise < shift < 1.4 * noise


class Rote(NonBacktracking):
    """Non-backtracking messages that believe more of the arcs they have seen."""

    name = "rote"

    def __init__(self, seen: SocialGraph) -> None:
        super().__init__(4)
        self.seen = set(zip(seen.source[seen.alive].tolist(), seen.target[seen.alive].tolist(), strict=True))

    def forward(
        self, graph: TensorGraph, seeds: Tensor, probability: Tensor | None = None, susceptible: Tensor | None = None
    ) -> Tensor:
        pairs = zip(graph.source.tolist(), graph.target.tolist(), strict=True)
        known = torch.tensor([1.0 if pair in self.seen else 0.3 for pair in pairs], dtype=torch.float64)
        return super().forward(graph, seeds, (graph.probability if probability is None else probability) * known)


@pytest.mark.parametrize("request_", [ForgetSet(users=("p0",)), random_ties(social(300), 60)])
def test_the_probe_finds_what_was_learned_by_heart_and_nothing_else(request_: ForgetSet) -> None:
    graph = social(300)
    sets = [np.array([5, 17, 120]), np.array([60, 61, 0])]
    original = reinsertion_auc(Rote(graph), graph, request_, sets)
    never, innocent = (
        reinsertion_auc(one, graph, request_, sets) for one in (Rote(graph.without(request_)), NonBacktracking(4))
    )
    assert original > 0.7
    assert original > max(never, innocent) + 0.1
    assert never == pytest.approx(innocent, abs=0.05)  # the graph tells a little: deleted arcs were no random ones


def test_the_probe_asks_what_hangs_on_an_arc_and_not_on_its_probability() -> None:
    """Of three arcs of .9, .8 and .1 hangs as much, of their decoys .3 times that: seven of nine pairs are told."""
    others = np.arange(150, 298)  # of more arcs, so that decoys are found on both sides
    tails, heads = np.repeat([0, 298, 299], [3, 148, 148]), np.concatenate([[1, 2, 3], others, others])
    graph = SocialGraph.from_arcs(tails, heads, [0.9, 0.8, 0.1, *np.zeros(296)], nodes=300)
    ties = ForgetSet(ties=((0, 1), (0, 2), (0, 3)))
    assert reinsertion_auc(Rote(graph), graph, ties, [np.array([0])]) == pytest.approx(7 / 9)
    assert reinsertion_auc(NonBacktracking(4), graph, ties, [np.array([0])]) == 0.5


def test_the_probe_needs_a_deleted_arc() -> None:
    with pytest.raises(ValueError, match="at least one arc"):
        reinsertion_auc(NonBacktracking(), social(100), ForgetSet(), SETS)
