"""What every minimiser must do: a suite to inherit from, and the truth about small outbreaks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from graph_influence.errors import InvalidBlocking, InvalidSeeds, UnknownIds
from graph_influence.graph import SocialGraph
from graph_influence.minimize import Minimizer, Outbreak
from graph_influence.seeds import seed_rows
from tests.oracles.cascades import random_graph, worlds
from unlearn.forget import ForgetSet
from unlearn.vocabulary import Vocabulary


def spread_without(outbreak: Outbreak, chosen: list[int]) -> float:
    """The enumerated spread of what is left."""
    return worlds(outbreak.without(chosen), outbreak.model).spread(outbreak.seeds.tolist())


def exact_drops(outbreak: Outbreak, chosen: list[int]) -> np.ndarray:
    """By how much the enumerated spread drops without each removable unit, [k]."""
    whole, found = spread_without(outbreak, chosen), np.zeros(outbreak.units)
    for unit in np.flatnonzero(outbreak.removable).tolist():
        if unit not in chosen:
            found[unit] = whole - spread_without(outbreak, [*chosen, unit])
    return found


def least_spread(outbreak: Outbreak, budget: int) -> float:
    """The least enumerated spread that any units of the budget leave."""
    units = np.flatnonzero(outbreak.removable).tolist()
    return min(spread_without(outbreak, list(chosen)) for chosen in combinations(units, budget))


def named_graph() -> SocialGraph:
    """A graph of people with names, some of whom have left."""
    random = np.random.default_rng(4)
    ends = random.integers(30, size=(2, 90))
    names = Vocabulary([f"p{number}" for number in range(30)])
    graph = SocialGraph.from_arcs(*ends, random.uniform(0.1, 0.5, size=90), nodes=names)
    weights = (
        graph.probability / np.maximum(np.bincount(graph.target, graph.probability, minlength=30), 1)[graph.target]
    )
    return graph.with_probability(weights * (1 - 1e-12)).without(ForgetSet(users=("p7", "p11")))


class MinimizerContract:
    """Inherit, parametrised or not, with a fixture `method`."""

    def test_it_takes_as_many_different_units_as_the_budget_says(self, method: Minimizer) -> None:
        graph, seeds = named_graph(), ["p3", "p0"]
        outbreak = Outbreak(graph, seed_rows(graph, seeds), method.unit, method.model)
        for budget in (1, 4):
            found = method.minimize(graph, seeds, budget)
            assert len(found.units) == len(set(found.units.tolist())) == budget
            assert outbreak.removable[found.units].all()
            assert (len(found.arcs), len(found.nodes)) == ((budget, 0) if method.unit == "arcs" else (0, budget))
            left = graph.without(found.removal)
            assert left.alive.tolist() == outbreak.without(found.units.tolist()).alive.tolist()
            assert left.num_alive == graph.num_alive - len(found.nodes)
            assert found.method == method.name and found.arguments == method.arguments() | {"budget": budget}

    def test_the_same_seed_gives_the_same_choice(self, method: Minimizer) -> None:
        graph = named_graph()
        first, second = (method.minimize(graph, ["p3", "p0"], 3).units.tolist() for _ in range(2))
        assert first == second

    def test_ids_and_numbers_of_arcs_do_not_matter_to_what_is_refused(self, method: Minimizer) -> None:
        graph = named_graph()
        with pytest.raises(UnknownIds, match="p7"):
            method.minimize(graph, ["p3", "p7"], 1)
        with pytest.raises(InvalidSeeds, match="named once"):
            method.minimize(graph, ["p3", "p3"], 1)
        for budget in (0, 10_000):
            with pytest.raises(
                InvalidBlocking, match=rf"`budget` must be from 1 to the \d+ {method.unit}.*got {budget}"
            ):
                method.minimize(graph, ["p3"], budget)
        with pytest.raises(InvalidBlocking, match="at least one seed"):
            method.minimize(graph, [], 1)

    def test_all_units_can_be_taken(self, method: Minimizer) -> None:
        graph = random_graph(3, "lt")
        outbreak = Outbreak(graph, np.array([0]), method.unit, method.model)
        budget = int(outbreak.removable.sum())
        found = method.minimize(graph, [0], budget)
        assert sorted(found.units.tolist()) == np.flatnonzero(outbreak.removable).tolist()

    def test_a_rumour_that_goes_nowhere_is_no_exception(self, method: Minimizer) -> None:
        graph = SocialGraph.from_arcs([1, 2], [2, 3], 0.5, nodes=4)
        assert len(method.minimize(graph, [0], 2).units) == 2
