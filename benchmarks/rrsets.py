"""Reverse-reachable sets of a graph: how fast they are drawn and indexed, their room, and what a deletion costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from graph_influence.graph import SocialGraph
from graph_influence.rrsets import RRSets

T = TypeVar("T")
_NONE = np.empty(0, dtype=np.int64)
_HUBS = 20


def measure(graph: SocialGraph, *, sets: int = 500_000, removals: int = 200, repeats: int = 7) -> dict[str, Any]:
    """Figures of a graph under weighted cascade: drawing, both ways, and people who leave one after the other.

    Sets a second in one thread are of processor time; in two threads, and what that gains, of wall time, the best of
    `repeats`. A removal is the graph's and the store's together, both ways up to date afterwards, in one thread, of
    processor time; a rebuild draws and indexes as many sets of what is left. Removed are random people, and then those
    who stand in most sets, which is the worst case; in a small graph no more than half of all, and not the last. It
    takes four people at least.
    """
    one = [_timed(lambda: drawn(graph, sets, 1)) for _ in range(repeats + 1)][1:]
    store = one[-1][0]
    figures: dict[str, Any] = {
        "sets_per_second_1t": sets / min(cpu for _, cpu, _ in one),
        "sets_per_second_1t_wall": sets / min(wall for *_, wall in one),
        "bytes_per_set": store.nbytes / sets,
        "mean_set_size": float(store.members.length.mean()),
    }
    two = [_timed(lambda: drawn(graph, sets, 2))[2] for _ in range(repeats)]
    figures["sets_per_second_2t"] = sets / min(two)
    figures["gain_of_two_threads"] = min(wall for *_, wall in one) / min(two)
    for semantics, renormalise in (("frozen", False), ("renormalised", True)):
        figures[semantics] = _removals(graph, sets, removals, renormalise)
    figures["removal_ms_median"] = figures["frozen"]["ms_median"]
    figures["removal_worst_ratio_to_rebuild"] = max(
        figures[semantics]["worst_ratio_to_rebuild"] for semantics in ("frozen", "renormalised")
    )
    return figures


def drawn(graph: SocialGraph, sets: int, threads: int) -> RRSets:
    """So many sets, both ways."""
    store = RRSets(graph, seed=7, threads=threads)
    store.grow(sets)
    assert len(store.sets)
    return store


def _removals(graph: SocialGraph, sets: int, removals: int, renormalise: bool) -> dict[str, Any]:
    warm = drawn(graph, sets // 100, 1)
    _leave(warm, int(np.argmax(warm.sets.length)), renormalise)
    warm.members.packed()
    store = drawn(graph, sets, 1)
    removals = min(removals, graph.num_alive // 2)
    people = np.random.default_rng(0).permutation(np.flatnonzero(graph.nodes.alive))[:removals]
    random = [_leave(store, row, renormalise) for row in people]
    fresh, rebuild, _ = _timed(lambda: drawn(store.graph, sets, 1))
    rows = np.argsort(-fresh.sets.length)[: min(50, store.graph.num_alive)]
    reached = store.spread(rows).mean
    worst = np.argsort(-store.sets.length)[: min(_HUBS, store.graph.num_alive - 1)]
    hubs = [_leave(store, row, renormalise) for row in worst]
    rebuild = min(rebuild, *(_timed(lambda: drawn(store.graph, sets, 1))[1] for _ in range(3)))
    return {
        "ms_median": 1e3 * statistics.median(seconds for seconds, _ in random),
        "ms_90": 1e3 * float(np.quantile([seconds for seconds, _ in random], 0.9)),
        "redrawn_share": statistics.mean(share for _, share in random),
        "hub_ms_median": 1e3 * statistics.median(seconds for seconds, _ in hubs),
        "hub_redrawn_share": statistics.mean(share for _, share in hubs),
        "rebuild_ms": 1e3 * rebuild,
        "worst_ratio_to_rebuild": max(seconds for seconds, _ in random + hubs) / rebuild,
        "estimate_over_fresh": reached / fresh.spread(rows).mean,
    }


def _leave(store: RRSets, row: int, renormalise: bool) -> tuple[float, float]:
    """Seconds until a person has left graph and store, and the share of sets that were drawn again."""
    gone = np.array([row], dtype=np.int64)
    done, seconds, _ = _timed(lambda: store.update(store.graph.without_rows(gone, _NONE, renormalise=renormalise)))
    return seconds, done.redrawn / len(store)


def _timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """What the work gives, and its seconds of processor and of wall time."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall
