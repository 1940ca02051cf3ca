"""Balanced clustering against going through all pairs one by one."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.sharding.clustering import balanced_clusters, fill, means, squared_distances


def filled_one_by_one(costs: np.ndarray, capacity: int) -> np.ndarray:
    """The greedy rule as it is stated: all pairs in ascending order of cost, by element where equal."""
    n, k = costs.shape
    labels, room = np.full(n, -1), np.full(k, capacity)
    for cost, element, cluster in sorted((costs[e, c], e, c) for e in range(n) for c in range(k)):
        assert cost == costs[element, cluster]
        if labels[element] < 0 and room[cluster]:
            labels[element] = cluster
            room[cluster] -= 1
    return labels


@pytest.mark.parametrize(("n", "k", "capacity"), [(1, 1, 1), (7, 3, 3), (40, 4, 10), (60, 5, 15), (50, 7, 8)])
@pytest.mark.parametrize("levels", [None, 4])  # with four levels of cost there are ties everywhere
def test_filling_serves_the_cheapest_pairs_first(n: int, k: int, capacity: int, levels: int | None) -> None:
    for seed in range(5):
        generator = np.random.default_rng(seed)
        costs = generator.random((n, k)) * generator.random(k)  # some clusters are everybody's first choice
        if levels:
            costs = np.floor(costs * levels)
        np.testing.assert_array_equal(fill(costs, capacity), filled_one_by_one(costs, capacity))


def test_too_little_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 for 10 elements in 3 clusters"):
        fill(np.ones((10, 3)), 3)


def test_distances_and_centres_are_those_of_their_formulas() -> None:
    generator = np.random.default_rng(0)
    table, rows, labels = generator.normal(size=(9, 3)), generator.integers(0, 9, 20), generator.integers(0, 3, 20)
    centres = means(table, rows, labels, 4)
    for cluster in range(3):
        np.testing.assert_allclose(centres[cluster], table[rows[labels == cluster]].mean(axis=0))
    np.testing.assert_allclose(centres[3], table[rows].mean(axis=0))  # of nobody
    expected = ((table[:, None] - centres) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(table, centres), expected, atol=1e-12)


def clustered(x: np.ndarray, k: int, *, slack: float, rounds: int = 50) -> np.ndarray:
    rows = np.arange(len(x))

    def distances(labels: np.ndarray | None) -> np.ndarray:
        return squared_distances(x, x[:k] if labels is None else means(x, rows, labels, k))

    return balanced_clusters(distances, len(x), k, slack=slack, rounds=rounds)


def test_separated_groups_of_equal_size_are_found() -> None:
    generator = np.random.default_rng(1)
    group = generator.permutation(np.repeat(np.arange(4), 25))
    x = 10.0 * np.eye(4)[group] + generator.normal(size=(100, 4))
    order = np.concatenate([np.flatnonzero(group == g)[:1] for g in range(4)])
    x, group = (np.concatenate([a[order], np.delete(a, order, axis=0)]) for a in (x, group))
    labels = clustered(x, 4, slack=1.0)
    assert len({(int(a), int(b)) for a, b in zip(group, labels, strict=True)}) == 4


def test_the_slack_is_of_the_even_share_and_not_of_a_rounded_one() -> None:
    x = np.array([[0.0], [100.0], [200.0], [300.0], *([0.1 * k] for k in range(1, 7))])  # 10 in 4: 2.5 each, 3 at most
    assert np.bincount(clustered(x, 4, slack=1.2, rounds=0), minlength=4).max() == 3


def test_no_cluster_holds_more_than_its_slack_and_rounds_make_it_tighter() -> None:
    x = np.random.default_rng(2).normal(size=(200, 3)) ** 3  # one dense centre, long tails

    def spread(labels: np.ndarray) -> float:
        centres = means(x, np.arange(200), labels, 8)
        return float(((x - centres[labels]) ** 2).sum())

    first, last = (clustered(x, 8, slack=1.2, rounds=rounds) for rounds in (0, 50))
    assert np.bincount(last, minlength=8).max() <= 30
    assert spread(last) < 0.8 * spread(first)
