"""Seeds by external ids -> rows of nodes, and rows that kernels may take without looking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph_influence.errors import InvalidSeeds, UnknownIds
from graph_influence.graph import SocialGraph
from unlearn.forget import Id, few
from unlearn.invalid import Problems


def seed_rows(graph: SocialGraph, seeds: Iterable[Id]) -> NDArray[np.int64]:
    """Rows [k] of the seeds, in their order.

    Raises:
        UnknownIds: some are not in the graph, or were forgotten; whatever else is wrong is told with it.
        InvalidSeeds: some occur twice, or there are more than nodes.
    """
    if isinstance(seeds, str):  # its letters would pass for ids
        raise InvalidSeeds(f"`seeds` must be a collection of ids (got the str {seeds!r}); pass a list")
    listed: list[Any] = seeds.tolist() if isinstance(seeds, np.ndarray) else list(seeds)
    rows = graph.nodes.rows(listed, unknown="mark")
    problems = Problems(f"these {len(listed)} ids", InvalidSeeds)
    if len(listed) > graph.num_alive:
        problems.add(f"there must be at most as many seeds as nodes, {graph.num_alive} (got {len(listed)}); pass fewer")
    if twice := list((Counter(listed) - Counter(set(listed))).elements()):
        problems.add(f"each seed must be named once (named again: {few(twice)}); pass it once")
    missing = [seed for seed, row in zip(listed, rows.tolist(), strict=True) if row < 0]
    if missing:
        problems.add(f"seeds must be in the graph ({len(missing)} are unknown or forgotten: {few(missing)})")
        try:
            problems.fail()
        except InvalidSeeds as error:
            raise UnknownIds(str(error)) from None
    problems.raise_any()
    return rows


def distinct_rows(graph: SocialGraph, rows: NDArray[np.integer], name: str = "rows") -> NDArray[np.int64]:
    """The rows [k], as kernels may take them, which look at no bounds.

    Raises:
        InvalidSeeds: some are no whole numbers, no rows of the graph, or occur twice.
    """
    listed = np.asarray(rows)
    if listed.ndim != 1 or (listed.size and listed.dtype.kind not in "iu"):
        kind = f"{listed.dtype}, {listed.ndim} dimensions"
        raise InvalidSeeds(f"`{name}` must be whole numbers, in one dimension (got {kind})")
    problems = Problems(f"these {len(listed)} rows", InvalidSeeds)
    last = graph.num_nodes - 1
    if outside := listed[(listed < 0) | (listed > last)].tolist():
        problems.add(f"`{name}` must be from 0 to {last} ({len(outside)} are not: {few(outside)})")
    numbers, times = np.unique(listed, return_counts=True)
    if twice := numbers[times > 1].tolist():
        problems.add(f"`{name}` must be different nodes (more than once: {few(twice)}); pass each once")
    problems.raise_any()
    return listed.astype(np.int64)
