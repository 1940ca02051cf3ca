"""Balanced clustering: k-means whose clusters close when they are full."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Labels = NDArray[np.int64]
Costs = NDArray[np.float64]


def fill(costs: Costs, capacity: int) -> Labels:
    """Clusters [n] of elements with `costs` [n, k] of joining each: the cheapest pairs first, none above `capacity`.

    The same as going through all n k pairs in ascending order of cost, giving an element to a cluster when it has none
    yet and the cluster has room; but the order only matters when a cluster closes, so k rounds of whole-array work do.
    Equal costs go by element.

    Raises:
        ValueError: the clusters have no room for all elements.
    """
    n, k = costs.shape
    if capacity * k < n:
        raise ValueError(
            f"`capacity` must be at least {math.ceil(n / k)} for {n} elements in {k} clusters (got {capacity})"
        )
    labels = np.full(n, -1, dtype=np.int64)
    room = np.full(k, capacity)
    waiting, now = np.arange(n), costs.copy()
    while len(waiting):
        choice = now.argmin(axis=1)
        order = np.lexsort((waiting, now[np.arange(len(waiting)), choice]))
        asked = choice[order]
        # How many want the same cluster before this element does: the first that finds no room ends the round.
        place = _occurrence(asked)
        refused = np.flatnonzero(place >= room[asked])
        end = int(refused[0]) if len(refused) else len(order)
        taken = order[:end]
        labels[waiting[taken]] = choice[taken]
        room -= np.bincount(choice[taken], minlength=k)
        left = np.sort(order[end:])
        waiting, now = waiting[left], now[left]
        now[:, room == 0] = np.inf
    return labels


def balanced_clusters(
    distances: Callable[[Labels | None], Costs], n: int, k: int, *, slack: float, rounds: int
) -> Labels:
    """Alternates between filling clusters and moving their centres until no element moves, or `rounds` times.

    Args:
        distances: costs [n, k] to the centres of the clusters that it is given [n]; to the first centres for None.
        slack: a cluster closes at `slack` times its even share, rounded up.
    """
    capacity = math.ceil(slack * n / k)
    labels = fill(distances(None), capacity)
    for _ in range(rounds):
        moved = fill(distances(labels), capacity)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return labels


def squared_distances(x: Costs, centres: Costs) -> Costs:
    """|x_v - c_j|^2 [n, k] for x [n, d] and centres [k, d]."""
    return np.maximum((x**2).sum(1)[:, None] - 2.0 * (x @ centres.T) + (centres**2).sum(1), 0.0)


def means(table: Costs, rows: Labels, labels: Labels, k: int) -> Costs:
    """Centres [k, d]: the mean of `table[rows]` over each cluster's elements; the mean of all for one without any."""
    members = csr_array((np.ones(len(rows)), (labels, rows)), shape=(k, len(table)))
    count = np.bincount(labels, minlength=k)[:, None]
    overall = np.bincount(rows, minlength=len(table)) @ table / len(rows)
    return np.where(count > 0, (members @ table) / np.maximum(count, 1), overall)


def _occurrence(values: Labels) -> Labels:
    """How often each value has occurred before its place [n]."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered)
    return place
