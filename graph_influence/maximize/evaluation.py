"""The spread of given seeds, on reverse-reachable sets of its own."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from graph_influence.coins import purpose
from graph_influence.diffusion import Model
from graph_influence.graph import SocialGraph
from graph_influence.rrsets import RRSets, Spread

_COVERED = 10_000  # a relative standard error of one percent
_MOST = 2**20


def evaluated(graph: SocialGraph, rows: NDArray[Any], model: Model, seed: int) -> Spread:
    """Spread of the rows, from fresh sets that end where they touch one of them.

    Sets are drawn until they touch 10,000 times (a relative standard error of one percent), or there are 2^20. As the
    number of sets depends on what they show, the estimate is biased by at most about one part in 10,000.
    """
    sets = RRSets(graph, model, seed=purpose(seed, "evaluation"), sentinels=rows)
    more, covered = 1024, 0
    while len(sets) < _MOST:
        sets.grow(more)
        covered = sets.coverage(rows)
        if covered >= _COVERED:
            break
        rate = max(covered, 1) / len(sets)
        more = min(int(1.1 * _COVERED / rate) - len(sets), 4 * len(sets), _MOST - len(sets))
    return sets.spread(rows)
