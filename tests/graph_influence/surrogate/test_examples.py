"""What learned surrogates are shown is what simulation says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graph_influence.graph import SocialGraph
from graph_influence.surrogate import Regime
from graph_influence.synthetic import power_law
from tests.graph_influence.surrogate.regime import REGIME
from tests.oracles.cascades import random_graph, worlds
from tests.tolerances import EXACT64

_NOBODY = np.array([], dtype=np.int64)


def test_examples_are_what_simulation_says_of_the_arcs_that_are_left():
    social = random_graph(12)
    regime = Regime(sets=6, seed_share=0.3, perturbed=1.0, runs=20_000)
    one = regime.on(social, np.random.default_rng(0))
    assert len(one) == 6 and one.seeds.shape == one.activation.shape == (6, social.num_nodes)
    assert bool((one.probability == 0).any(1).any())
    for seeds, p, activation, drops in zip(one.seeds, one.probability, one.activation, one.drops, strict=True):
        rows, gone = seeds.nonzero()[:, 0].tolist(), np.flatnonzero(p.numpy() == 0)
        exact, *without = (
            worlds(social.without_rows(_NOBODY, np.union1d(gone, arc)), "ic").activation(rows)
            for arc in (_NOBODY, *np.arange(social.num_arcs))
        )
        assert exact.sum() > len(rows)
        assert np.abs(activation.numpy() - exact).max() < 5 * 0.5 / regime.runs**0.5
        assert np.isin(p.numpy(), [0.0, *social.probability]).all()
        fall = exact.sum() - np.array([other.sum() for other in without])
        # A drop in a cascade is from 0 to all nodes but the seeds, so its standard deviation at most half of that.
        assert np.abs(drops.numpy() - fall).max() < 5 * 0.5 * (social.num_nodes - len(rows)) / regime.runs**0.5
        assert fall.max() > 0.05 and drops.numpy()[gone].max(initial=0.0) == 0.0


def test_seed_sets_have_two_to_their_share_of_who_is_there():
    everybody = SocialGraph.from_arcs(*np.indices((24, 24)).reshape(2, -1), nodes=24)
    left = everybody.without_rows(np.arange(8), _NOBODY)
    one = Regime(sets=60, seed_share=0.25, runs=1).on(left, np.random.default_rng(0))
    assert {*one.seeds.sum(1).tolist()} == {2, 3, 4} and not one.seeds[:, :8].any()


def test_drops_are_counted_in_the_cascades_that_activations_are_counted_in():
    """Along a path, all who are active between an arc and the next seed hang on that arc."""
    path = SocialGraph.from_arcs(range(11), range(1, 12), 0.5, nodes=12)
    one = Regime(sets=6, seed_share=0.3, runs=40).on(path, np.random.default_rng(0))
    for seeds, activation, drops in zip(one.seeds, one.activation, one.drops, strict=True):
        last = seeds.cumsum(0)  # seed, by its number
        behind = [activation[head:][last[head:] == last[head]].sum() * (1 - seeds[head]) for head in range(1, 12)]
        torch.testing.assert_close(drops, torch.stack(behind), **EXACT64)


def test_perturbed_sets_lose_what_a_minimiser_would_take_and_half_of_them_some_of_everything():
    social = power_law(200, silent=0.3, seed=3)
    rows = np.argsort(-social.out_degree(), kind="stable")[:4]
    near = np.isin(social.source, rows)
    worth = social.probability * (1 + social.out_degree()[social.target])
    lost, thinned = np.zeros(social.num_arcs), 0
    for draw in range(400):
        gone = Regime()._removed(social, rows, np.random.default_rng(draw))
        lost[gone] += 1
        thinned += bool((~near[gone]).any())
    assert abs(thinned - 200) < 4 * 10
    assert lost[~near].mean() / 400 == pytest.approx(0.05, rel=0.2)  # half of them lose up to a fifth
    heavy = worth > np.median(worth[near])
    assert lost[near & heavy].mean() > 1.5 * lost[near & ~heavy].mean()


def test_arcs_out_of_seeds_are_removed_by_what_they_are_worth(monkeypatch):
    """Which is p (1 + out-degree of the head): 1, .5 and 1."""
    monkeypatch.setattr("graph_influence.surrogate.examples._MOST_THINNED", 0.0)
    social = SocialGraph.from_arcs([0, 0, 0, 1], [1, 2, 3, 4], [0.5, 0.5, 1.0, 1.0], nodes=5)
    random = np.random.default_rng(0)
    drawn = [Regime()._removed(social, np.array([0]), random) for _ in range(1_200)]
    heads = social.target[[arcs[0] for arcs in drawn if len(arcs) == 1]]
    seen, expected = np.bincount(heads, minlength=4)[1:], len(heads) * np.array([0.4, 0.2, 0.4])
    assert len(heads) > 60 and (abs(seen - expected) < 4 * expected**0.5).all()


def test_only_as_many_sets_are_perturbed_as_asked():
    social = power_law(200, silent=0.3, seed=3)
    none, half = (
        Regime(sets=40, runs=20, perturbed=share).on(social, np.random.default_rng(0)) for share in (0.0, 0.5)
    )
    whole = torch.from_numpy(social.probability)
    assert bool((none.probability == whole).all())
    assert 8 < int((half.probability == whole).all(1).sum()) < 32


def test_examples_are_those_of_their_seed_and_purpose():
    few = replace(REGIME, graphs=2, sets=2, runs=50)
    (one, second), (again, _), (other, _) = few.draw("train"), few.draw("train"), few.draw("validation")
    assert torch.equal(one.activation, again.activation) and torch.equal(one.seeds, again.seeds)
    for different in (second, other, replace(few, seed=few.seed + 1).draw("train")[0]):
        assert one.seeds.shape != different.seeds.shape or not torch.equal(one.seeds, different.seeds)
    assert torch.equal(few.draw("train", 1)[0].activation, one.activation)


def test_where_nobody_can_be_activated_there_is_nothing_to_show():
    silent = SocialGraph.from_arcs([0], [1], 0.0, nodes=50)
    with pytest.raises(ValueError, match=r"SocialGraph.50 nodes, 1 arcs. must have nodes that activate others"):
        Regime(sets=2, runs=50).on(silent, np.random.default_rng(0))
