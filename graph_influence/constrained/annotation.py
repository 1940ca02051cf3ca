"""Which items to annotate: those from which labels would spread furthest over a graph of nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph_influence.errors import InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import Seeds, maximize
from unlearn.invalid import Problems
from unlearn.vocabulary import Vocabulary

_BLOCK = 2**24  # similarities held at a time


def neighbour_graph(features: ArrayLike, neighbours: int = 10, *, nodes: Vocabulary | None = None) -> SocialGraph:
    """Arcs from each item to its most similar others, with p = cosine / sum of the cosines of the item's arcs.

    Others whose cosine is not above 0 get no arc; of equal cosines the lower row comes first. Probabilities of the arcs
    that leave an item sum to 1.

    Args:
        features: one row an item, [n, width].
        neighbours: arcs that leave each item, at most n - 1.
        nodes: ids of the items; default: their rows.

    Raises:
        InvalidRequest: listing every problem: shape, numbers that are not finite, rows of zeros, `neighbours`.
    """
    matrix = np.asarray(features, dtype=np.float64)
    problems = Problems("these features", InvalidRequest)
    if matrix.ndim != 2 or len(matrix) < 2:
        problems.add(f"`features` must be two rows or more of numbers (got shape {matrix.shape})")
        problems.fail()
    if not 1 <= neighbours < len(matrix):
        problems.add(f"`neighbours` must be from 1 to {len(matrix) - 1} (got {neighbours})")
    lengths = np.linalg.norm(matrix, axis=1)
    bad = ~(np.isfinite(lengths) & (lengths > 0))
    if bad.any():
        problems.add(f"rows must be finite and not all zero ({int(bad.sum())} are not, first row {int(bad.argmax())})")
    problems.raise_any()
    nearest, cosine = _nearest(matrix / lengths[:, None], neighbours)
    cosine = np.maximum(cosine, 0.0)
    total = cosine.sum(1, keepdims=True)
    p = np.divide(cosine, total, out=np.zeros_like(cosine), where=total > 0).ravel()
    tails = np.repeat(np.arange(len(matrix)), neighbours)[p > 0]
    ids = Vocabulary(np.arange(len(matrix))) if nodes is None else nodes
    return SocialGraph.from_arcs(tails, nearest.ravel()[p > 0], p[p > 0], nodes=ids, parallel="raise")


def _nearest(unit: NDArray[np.float64], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows [n, count] of the most similar others of each row, and their similarities."""
    n = len(unit)
    # A product of matrices rounds by place: each item is compared with once, however many are the same.
    distinct, number = np.unique(unit, axis=0, return_inverse=True)
    nearest, similarity = np.empty((n, count), dtype=np.int64), np.empty((n, count))
    block = max(1, _BLOCK // n)
    for start in range(0, n, block):
        rows = np.arange(start, min(start + block, n))
        similar = (unit[rows] @ distinct.T)[:, number.reshape(-1)]
        similar[np.arange(len(rows)), rows] = -np.inf
        # Whatever is at least as similar as the last one wanted: one or more where there are ties.
        last = np.partition(similar, n - count, axis=1)[:, n - count]
        for row, values, least in zip(rows.tolist(), similar, last, strict=True):
            found = np.flatnonzero(values >= least)
            found = found[np.argsort(-values[found], kind="stable")[:count]]
            nearest[row], similarity[row] = found, values[found]
    return nearest, similarity


def annotate(
    features: ArrayLike, budget: int, *, neighbours: int = 10, nodes: Vocabulary | None = None, **arguments: Any
) -> Seeds:
    """`budget` items to annotate: seeds of a large spread over `neighbour_graph`.

    Zhang et al., "IDEAL: influence-driven selective annotations empower in-context learners in large language models"
    (ICLR 2024, arXiv 2310.10873). `arguments` are those of `maximize`.

    Differences from the paper:
        - It compares items by ten simulated cascades each, whose noise decides; here all are compared on the same
          reverse-reachable sets, as many as it takes to prove the ratio.
        - Its first item is any of those of the largest out-degree, which all have; here it is the one of the largest
          spread.
    """
    return maximize(neighbour_graph(features, neighbours, nodes=nodes), budget, **arguments)
