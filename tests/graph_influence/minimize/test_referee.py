"""The referee against every world of small graphs: the ratio, its error, and nothing for nothing."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from graph_influence.minimize import Outbreak, Random, Referee
from graph_influence.outbreak import Worlds
from tests.graph_influence.minimize.contract import spread_without
from tests.oracles.cascades import random_graph


def exact_ratio(outbreak: Outbreak, chosen: list[int]) -> float:
    before = spread_without(outbreak, [])
    return (before - spread_without(outbreak, chosen)) / (before - len(outbreak.seeds))


@pytest.mark.parametrize("unit", ["arcs", "nodes"])
@pytest.mark.parametrize("model", ["ic", "lt"])
def test_ratios_and_their_errors_are_right(unit, model):
    scores = []
    for seed in range(240):
        outbreak = Outbreak(random_graph(seed, model), np.array([0]), unit, model)
        if outbreak.removable.sum() < 2 or spread_without(outbreak, []) < 1.2:
            continue
        chosen = np.flatnonzero(outbreak.removable)[:2].tolist()
        verdict = Referee(outbreak, runs=2_000, seed=1).judge(chosen)
        assert verdict.drop.mean == pytest.approx(verdict.before.mean - verdict.after.mean)
        if verdict.standard_error > 1e-3:
            scores.append((verdict.reduced_ratio - exact_ratio(outbreak, chosen)) / verdict.standard_error)
    assert len(scores) >= 25
    # Standard normal, if the errors are right.
    assert abs(np.mean(scores)) < 3 / len(scores) ** 0.5
    assert 0.7 < np.std(scores) < 1.35


def scale_free(n: int) -> SocialGraph:
    random = np.random.default_rng(2)
    heads = np.repeat(np.arange(5, n), 5)
    tails = (random.uniform(size=len(heads)) ** 2 * heads).astype(np.int64)
    graph = SocialGraph.from_arcs(tails, heads, nodes=n, undirected=True)
    return graph.with_probability(1 / np.maximum(graph.in_degree(), 1)[graph.target])


def test_random_choices_come_out_at_the_little_that_they_do():
    graph, differences = scale_free(4_000), []
    for instance in range(20):
        outbreak = Outbreak(graph, np.random.default_rng(instance).permutation(4_000)[:20])
        verdict = Referee(outbreak, runs=2_000).judge(Random(seed=instance).choose(outbreak, 10))
        # Common coins: the same cascades but for what hung on ten arcs of forty thousand.
        assert verdict.drop.standard_error < 0.1 * verdict.before.standard_error
        spread, drops = Worlds(outbreak, 2_000, instance).drops([])
        differences.append(verdict.reduced_ratio - 10 * drops.mean() / (spread - 20))
        assert abs(differences[-1]) < 0.005
    assert abs(np.mean(differences)) < 3 * np.std(differences, ddof=1) / len(differences) ** 0.5


def test_arcs_out_of_reach_come_out_at_exactly_nothing():
    graph = SocialGraph.from_arcs([0, 1, 3, 4], [1, 2, 4, 5], 0.5, nodes=6)
    verdict = Referee(Outbreak(graph, np.array([0])), runs=500).judge([2, 3])
    assert (verdict.reduced_ratio, verdict.standard_error, verdict.drop.mean) == (0.0, 0.0, 0.0)


def test_one_run_tells_nothing_of_its_error():
    outbreak = Outbreak(SocialGraph.from_arcs([1], [2], 0.5, nodes=3), np.array([0]))
    with pytest.raises(ValueError, match=r"`runs` must be at least 2 for `Referee` \(got 1\)"):
        Referee(outbreak, runs=1)


def test_where_nothing_spreads_there_is_nothing_to_reduce():
    graph = SocialGraph.from_arcs([1], [2], 0.5, nodes=3)
    verdict = Referee(Outbreak(graph, np.array([0])), runs=10).judge([0])
    assert (verdict.reduced_ratio, verdict.standard_error) == (0.0, 0.0)


def test_outbreaks_of_other_seeds_toss_other_coins_whatever_the_order_of_theirs():
    graph = random_graph(3)

    def spread(*seeds: int) -> float:
        return Referee(Outbreak(graph, np.array(seeds)), runs=997).judge([]).before.mean

    assert spread(0, 1) == spread(1, 0)
    # Both surely reach 2, and all else hangs on what 2 does.
    twins = SocialGraph.from_arcs([0, 1, 2], [2, 2, 3], [1.0, 1.0, 0.5], nodes=4)
    one, other = (Referee(Outbreak(twins, np.array([seed])), runs=997) for seed in (0, 1))
    assert one.judge([]).before.mean != other.judge([]).before.mean
