"""How a budget is spent when each unit's worth can be asked for: greedily, or by replacing greedy choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from graph_influence.outbreak import Outbreak

# By how much each unit [k] lowers the spread of what is left without the units given.
Drops = Callable[[Sequence[int]], NDArray[np.float64]]


def greedy(outbreak: Outbreak, drops: Drops, budget: int, among: NDArray[np.bool_] | None = None) -> list[int]:
    """The best unit, then the best without that, and so on; of equals the first. `among` [k] restricts the choice."""
    chosen: list[int] = []
    free = outbreak.removable if among is None else outbreak.removable & among
    while len(chosen) < budget:
        chosen.append(best(drops(chosen), free, chosen))
    return chosen


def replaced(outbreak: Outbreak, drops: Drops, budget: int) -> list[int]:
    """GreedyReplace: units next to the seeds first, then the last of them is put back and replaced by the best of all.

    It ends with the first that is the best in its own place. Several routes that must be cut together show no drop
    each, so that `greedy` does not begin with them, but cutting all of them next to the seeds and then putting one back
    shows what is missing.
    """
    near = outbreak.removable & outbreak.adjacent
    first = greedy(outbreak, drops, min(budget, int(near.sum())), near)
    chosen = list(first)
    while len(chosen) < budget:
        chosen.append(best(drops(chosen), outbreak.removable, chosen))
    for unit in reversed(first):
        others = [other for other in chosen if other != unit]
        found = best(drops(others), outbreak.removable, others)
        if found == unit:
            break
        chosen = [*others, found]
    return chosen


def best(drops: NDArray[np.float64], free: NDArray[np.bool_], taken: Sequence[int]) -> int:
    """The free unit of the largest drop that is not taken; the first of equals."""
    worth = np.where(free, drops, -np.inf)
    worth[list(taken)] = -np.inf
    return int(worth.argmax())
