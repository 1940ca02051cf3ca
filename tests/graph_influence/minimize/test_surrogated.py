"""DiffIM's three forms and the relaxation, where surrogates are exact: against every world and every removal."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from graph_influence.errors import InvalidBlocking
from graph_influence.graph import SocialGraph
from graph_influence.minimize import DiffIM, DiffIMPlus, DiffIMPlusPlus, Outbreak, Relaxed, minimize
from graph_influence.minimize.relaxation import Relaxation
from graph_influence.minimize.relaxed import _Expected, _rounded
from graph_influence.surrogate import MeanField, NonBacktracking, SupercriticalWarning
from tests.graph_influence.minimize.contract import exact_drops, least_spread, spread_without
from tests.graph_influence.surrogate.contract import random_tree
from tests.oracles.cascades import ends, random_graph

EXACT = NonBacktracking(50)


def tree_outbreak(seed: int, unit: str = "arcs", model: str = "ic") -> Outbreak:
    graph = random_tree(seed, model)
    return Outbreak(graph, np.array([graph.num_nodes // 2]), unit, model)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("unit", "model"), [("arcs", "ic"), ("arcs", "lt"), ("nodes", "ic"), ("nodes", "lt")])
@pytest.mark.parametrize("seed", range(12))
def test_one_gradient_is_the_exact_drop_of_every_unit(seed, unit, model):
    outbreak = tree_outbreak(seed, unit, model)
    relaxation = Relaxation(NonBacktracking(50, model), outbreak)
    first = np.flatnonzero(outbreak.removable)[:1].tolist()
    for chosen in ([], first):
        found = relaxation.gradients(relaxation.kept(chosen)).numpy()
        left = outbreak.removable & ~np.isin(np.arange(outbreak.units), chosen)
        np.testing.assert_allclose(found[left], exact_drops(outbreak, chosen)[left], atol=1e-9)


@pytest.mark.parametrize("unit", ["arcs", "nodes"])
@pytest.mark.parametrize("seed", range(12))
def test_trying_each_unit_and_one_gradient_are_both_the_exact_greedy(seed, unit):
    outbreak = tree_outbreak(seed, unit)
    budget = min(3, int(outbreak.removable.sum()))
    greedy: list[int] = []
    for _ in range(budget):
        drops = np.where(outbreak.removable, exact_drops(outbreak, greedy).round(9), -1.0)
        drops[greedy] = -1.0
        greedy.append(int(drops.argmax()))
    wanted = spread_without(outbreak, greedy)
    for kind in (DiffIM, DiffIMPlusPlus):
        chosen = kind(unit=unit, surrogate=EXACT).choose(outbreak, budget)
        assert spread_without(outbreak, chosen) == pytest.approx(wanted, abs=1e-8)


def test_diffim_reads_the_surrogate_that_it_is_given():
    # The mean field echoes along both directions of 1 - 2, and takes the arc into the echo; without it, 0 -> 3 is worth
    # more.
    arcs = {(0, 1): 0.5, (1, 2): 1.0, (2, 1): 1.0, (0, 3): 0.55, (3, 4): 1.0}
    graph = SocialGraph.from_arcs(*zip(*arcs, strict=True), list(arcs.values()), nodes=5)
    outbreak = Outbreak(graph, np.array([0]))
    for kind in (DiffIM, DiffIMPlusPlus):
        exact, echoing = (ends(graph)[kind(surrogate=form).choose(outbreak, 1)[0]] for form in (EXACT, MeanField(50)))
        assert exact == (0, 3)
        assert echoing in {(0, 1), (1, 2)}


def test_the_published_relaxation_finds_most_of_what_can_be_found_on_trees():
    shares = []
    for seed in small_trees():
        outbreak = tree_outbreak(seed)
        chosen = DiffIMPlus(epochs=50, surrogate=NonBacktracking(8)).choose(outbreak, 2)
        whole, best = spread_without(outbreak, []), least_spread(outbreak, 2)
        shares.append((whole - spread_without(outbreak, chosen)) / (whole - best))
    assert len(shares) >= 8
    assert np.mean(shares) > 0.85


def test_the_published_relaxation_descends_on_the_published_loss():
    """On a star the spread is 1 + sum of p r: every retention that is looked at, by gradients and Adam written out."""
    p, budget, epochs, alpha, beta = np.array([0.9, 0.2, 0.5, 0.6, 0.3]), 2, 6, 0.1, 1.0
    graph = SocialGraph.from_arcs([0] * 5, [1, 2, 3, 4, 5], p, nodes=6)
    looked: list[np.ndarray] = []
    surrogate = NonBacktracking(5)
    surrogate.register_forward_pre_hook(lambda _, given: looked.append(given[3][0].detach().numpy().copy()))
    method = DiffIMPlus(epochs=epochs, alpha=alpha, beta=beta, unit="nodes", surrogate=surrogate)
    found = method.choose(Outbreak(graph, np.array([0]), "nodes"), budget)
    first = np.log(5 / budget - 1)  # where the seed, which cannot be taken, stays
    x, kept, m, v = np.full(5, first), np.ones(5), np.zeros(5), np.zeros(5)
    expected, chosen = [np.ones(5)], list[int]()
    for t in range(1, budget * epochs + 1):
        r = 1 / (1 + np.exp(-x))
        expected.append(r * kept)
        slope = kept * (p / p.sum() - 2 * alpha * ((1 - r * kept).sum() - budget)) + beta / 5 * np.log(1 / r - 1)
        slope *= r * (1 - r)
        slope *= min(1.0, 0.01 / np.linalg.norm(slope))
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        x = x - m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        if t % epochs == 0:
            chosen.append(int(np.where(kept, x, np.inf).argmin()))
            kept[chosen[-1]], x[chosen[-1]] = 0.0, max(x.max(), first)
    assert found == [unit + 1 for unit in chosen]
    np.testing.assert_allclose(looked, [[1.0, *row] for row in expected], atol=1e-4)


def expected(outbreak: Outbreak, x: np.ndarray, budget: int) -> float:
    """The objective of random removals by going through all of them."""
    seeds = len(outbreak.seeds)
    intact, total = spread_without(outbreak, []), 0.0
    for removal in product((0, 1), repeat=outbreak.units):
        chance = np.prod(np.where(removal, x, 1 - x))
        if chance:
            spread = spread_without(outbreak, np.flatnonzero(removal).tolist())
            total += chance * ((spread - intact) / (intact - seeds) + (sum(removal) - budget) ** 2)
    return total


def small_trees() -> list[int]:
    outbreaks = ((seed, tree_outbreak(seed)) for seed in range(40))
    return [seed for seed, one in outbreaks if 3 <= one.units <= 6 and spread_without(one, []) > 1.01]


@pytest.mark.parametrize("seed", small_trees()[:5])
def test_slopes_are_those_of_the_expected_objective(seed):
    outbreak = tree_outbreak(seed)
    x = np.random.default_rng(seed).uniform(size=outbreak.units)
    found = _Expected(Relaxation(EXACT, outbreak), 1, 2).slope(torch.tensor(x)).numpy()
    for unit in range(outbreak.units):
        ends_ = [expected(outbreak, np.where(np.arange(outbreak.units) == unit, end, x), 2) for end in (0.0, 1.0)]
        assert found[unit] == pytest.approx(ends_[1] - ends_[0], abs=1e-8)


def best_moved(outbreak: Outbreak, x: np.ndarray, budget: int) -> np.ndarray:
    """With the one move of a coordinate between 0 and 1 to an end that lowers the objective most, by trying all."""
    moved = [np.where(np.arange(len(x)) == k, end, x) for k in np.flatnonzero((x > 0) & (x < 1)) for end in (0.0, 1.0)]
    return min(moved, key=lambda one: expected(outbreak, one, budget))


@pytest.mark.parametrize("seed", small_trees()[:8])
def test_rounding_takes_what_gains_most_never_makes_it_worse_and_meets_the_budget(seed):
    outbreak = tree_outbreak(seed)
    x = np.random.default_rng(seed).uniform(size=outbreak.units)
    rounded = _rounded(_Expected(Relaxation(EXACT, outbreak), 1, 2), torch.tensor(x)).numpy()
    greedily = x
    while ((greedily > 0) & (greedily < 1)).any():
        greedily = best_moved(outbreak, greedily, 2)
    assert rounded.tolist() == greedily.tolist()
    assert set(rounded.tolist()) <= {0.0, 1.0}
    assert rounded.sum() == 2
    assert expected(outbreak, rounded, 2) <= expected(outbreak, x, 2) + 1e-9


class Bent(NonBacktracking):
    """Linear in no retention: p (r + c r (1 - r)) for each node beside the seed."""

    def __init__(self, p: list[float], c: list[float]) -> None:
        super().__init__()
        self.p, self.c = torch.tensor(p), torch.tensor(c)

    def forward(self, graph, seeds, probability=None, susceptible=None):
        r = susceptible[:, 1:]
        return torch.cat([seeds[:, :1], self.p * (r + self.c * r * (1 - r))], dim=1)


@pytest.mark.parametrize(("p", "c", "chosen"), [([1.0, 0.6], [4.0, -8.0], 1), ([0.4, 1.0], [8.0, -4.0], 2)])
def test_what_rounding_leaves_beside_the_budget_is_mended_by_what_costs_least(p, c, chosen):
    """Rounding takes both nodes in the first case and none in the second, where one is asked for: the surer one."""
    graph = SocialGraph.from_arcs([0, 0], [1, 2], p, nodes=3)
    outbreak = Outbreak(graph, np.array([0]), "nodes")
    assert Relaxed(unit="nodes", surrogate=Bent(p, c)).choose(outbreak, 1) == [chosen]


@pytest.mark.parametrize("seed", small_trees())
def test_the_relaxation_finds_what_is_best_on_small_trees(seed):
    outbreak = tree_outbreak(seed)
    chosen = Relaxed(surrogate=EXACT).choose(outbreak, 2)
    whole, best = spread_without(outbreak, []), least_spread(outbreak, 2)
    assert whole - spread_without(outbreak, chosen) >= 0.9 * (whole - best)


def test_where_activity_takes_off_surrogates_without_training_warn():
    complete = [(u, v) for u in range(6) for v in range(6) if u != v]
    graph = SocialGraph.from_arcs(*np.array(complete).T, 0.5, nodes=6)
    with pytest.warns(SupercriticalWarning):
        DiffIMPlusPlus().minimize(graph, [0], 1)
    with pytest.warns(SupercriticalWarning):
        Relaxed(steps=2).minimize(graph, [0], 1)


def test_a_surrogate_that_has_nothing_to_learn_goes_by_its_name():
    graph = random_graph(3, "lt")
    for model in ("ic", "lt"):
        named, given = (
            minimize(graph, [0], 2, "diffim_plus_plus", model=model, surrogate=one).arcs
            for one in ("mean_field", MeanField(model=model))
        )
        assert named == given
    with pytest.raises(InvalidBlocking, match="`gcn` must have learned.*gcn:path=FILE.*load_surrogate"):
        minimize(graph, [0], 2, "diffim_plus_plus", surrogate="gcn")
    with pytest.raises(InvalidBlocking, match="`tea` is no surrogate; there are"):
        minimize(graph, [0], 2, "relaxed", surrogate="tea")


@pytest.mark.parametrize("seed", range(6))
def test_units_that_are_gone_are_not_chosen_again(seed):
    graph = random_graph(seed)
    left = graph.without_rows(np.array([], dtype=np.int64), np.array([0]))
    outbreak = Outbreak(left, np.array([0]))
    for method in (DiffIM(), DiffIMPlus(epochs=5), DiffIMPlusPlus(), Relaxed(steps=5)):
        assert 0 not in method.choose(outbreak, int(outbreak.removable.sum()))
