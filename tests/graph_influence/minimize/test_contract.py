"""The contract, for every registered method, of arcs and nodes, under both models."""

from __future__ import annotations

import re

import numpy as np
import pytest

from graph_influence.errors import InvalidBlocking
from graph_influence.graph import SocialGraph
from graph_influence.minimize import (
    AdvancedGreedy,
    DiffIMPlus,
    DiffIMPlusPlus,
    KeyEdge,
    Minimizer,
    Outbreak,
    ReverseSampling,
    minimize,
    minimizer,
    minimizers,
)
from graph_influence.surrogate import MeanField
from tests.graph_influence.minimize.contract import MinimizerContract

QUICK = {
    "advanced_greedy": {"samples": 500},
    "auto": {"runs": 500},
    "diffim_plus": {"epochs": 30},
    "greedy_replace": {"samples": 500},
    "mds": {"runs": 500},
    "relaxed": {"steps": 10},
    "ris": {"eps": 0.2},
}
FORMS = [
    (name, unit, model) for name in minimizers() for unit in minimizer(name).units for model in ("ic", "lt")
]  # fmt: skip


@pytest.mark.parametrize(("name", "unit", "model"), FORMS)
class TestContract(MinimizerContract):
    @pytest.fixture
    def method(self, name: str, unit: str, model: str) -> Minimizer:
        return minimizer(name, unit=unit, model=model, **QUICK.get(name, {}))


AWARE = [
    (name, unit) for name, unit, model in FORMS if model == "ic" and name not in
    {"betweenness", "key_edge", "mds", "out_degree", "pagerank", "random"}
]  # fmt: skip


@pytest.mark.parametrize(("name", "unit"), AWARE)
def test_a_certain_arc_is_taken_where_everything_hangs_on_it(name, unit):
    # From seed 0 surely to 1, who surely tells 2 and 3; a likely way from 0 to 4 leads nowhere.
    graph = SocialGraph.from_arcs([0, 1, 1, 0, 5], [1, 2, 3, 4, 6], [1.0, 1.0, 1.0, 0.9, 1.0], nodes=7)
    found = minimize(graph, [0], 1, name, unit=unit, **QUICK.get(name, {}))
    assert (found.arcs, found.nodes) == ((((0, 1),), ()) if unit == "arcs" else ((), (1,)))


def test_every_method_of_the_literature_is_there():
    expected = {
        "advanced_greedy", "auto", "betweenness", "diffim", "diffim_plus", "diffim_plus_plus", "greedy_replace",
        "key_edge", "mds", "out_degree", "pagerank", "random", "relaxed", "ris", "seed_adjacent",
    }  # fmt: skip
    assert expected <= set(minimizers())
    with pytest.raises(ValueError, match="`tea` is no method of containing a rumour; there are advanced_greedy"):
        minimizer("tea")


def test_everything_that_is_wrong_is_told_at_once():
    graph = SocialGraph.from_arcs([0, 1, 2], [3, 3, 3], [0.5, 0.5, 0.5], nodes=4)
    with pytest.raises(InvalidBlocking) as caught:
        AdvancedGreedy(samples=0, model="lt").minimize(graph, [0], 4)
    told = str(caught.value)
    assert [bool(re.search(part, told)) for part in ("`budget`", "sum to at most 1", "`samples`")] == [True] * 3
    with pytest.raises(InvalidBlocking, match="`unit` must be arcs for `key_edge` .got 'nodes'"):
        KeyEdge(unit="nodes").minimize(graph, [0], 1)
    with pytest.raises(InvalidBlocking, match="`model` must be one of ic, lt"):
        ReverseSampling(model="sir").minimize(graph, [0], 1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidBlocking, match="`surrogate` must be one of the model 'ic'.*MeanField"):
        DiffIMPlusPlus(surrogate=MeanField(model="lt")).minimize(graph, [0], 1)
    with pytest.raises(InvalidBlocking, match="(?s)`epochs` must be at least 1.*`alpha` must be at least 0.*`beta`"):
        DiffIMPlus(epochs=0, alpha=-1.0, beta=float("nan")).minimize(graph, [0], 1)


def test_choices_are_checked_like_requests():
    graph = SocialGraph.from_arcs([0, 1, 2], [1, 2, 0], [0.5, 0.5, 0.5], nodes=3)
    outbreak, nodes = Outbreak(graph, np.array([0])), Outbreak(graph, np.array([0]), "nodes")
    refused = [
        (AdvancedGreedy(samples=10), outbreak, 4, "`budget` must be from 1 to the 3 arcs"),
        (AdvancedGreedy(samples=10, unit="nodes"), nodes, 3, "`budget` must be from 1 to the 2 nodes"),
        (AdvancedGreedy(samples=0), outbreak, 1, "`samples` must be at least 1"),
        (AdvancedGreedy(), nodes, 1, "the outbreak must be one of arcs, as the method is .got one of nodes"),
        (AdvancedGreedy(model="lt"), outbreak, 1, "of the model 'lt', as the method is .got 'ic'"),
        (AdvancedGreedy(), Outbreak(graph, np.array([], dtype=np.int64)), 1, "at least one seed"),
        (KeyEdge(unit="nodes"), nodes, 1, "`unit` must be arcs for `key_edge`"),
    ]
    for method, asked, budget, told in refused:
        for ask in (method.check, method.choose):
            with pytest.raises(InvalidBlocking, match=told):
                ask(asked, budget)


def test_seeds_and_arcs_between_them_are_none_of_the_units_next_to_them():
    graph = SocialGraph.from_arcs([0, 1, 0, 2], [1, 0, 2, 1], nodes=3)
    arcs, nodes = (Outbreak(graph, np.array([0, 1]), unit) for unit in ("arcs", "nodes"))
    assert arcs.adjacent.tolist() == [False, False, False, True] and arcs.removable.all()
    assert nodes.adjacent.tolist() == nodes.removable.tolist() == [False, False, True]
