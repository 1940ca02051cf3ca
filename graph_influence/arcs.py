"""Arcs in any order -> one arc a pair, in reverse compressed rows, with every problem of the input reported at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearn.invalid import Problems
from unlearn.vocabulary import Vocabulary

Parallel = Literal["first", "combine", "sum", "raise"]

SLACK = 1e-9  # by how much rounding may lift the in-weights of a node above 1


@dataclass(frozen=True)
class Arcs:
    """Arcs by row of source and of target, [k], with their probabilities; `index` says where each came from."""

    tails: NDArray[np.int64]
    heads: NDArray[np.int64]
    p: NDArray[np.float64]
    index: pd.Index[Any]

    def where(self, kept: NDArray[np.bool_]) -> Arcs:
        """Only those of a mask [k]."""
        return self if kept.all() else Arcs(self.tails[kept], self.heads[kept], self.p[kept], self.index[kept])

    def both_ways(self) -> Arcs:
        """These arcs, then the reverse of each."""
        tails, heads = np.concatenate([self.tails, self.heads]), np.concatenate([self.heads, self.tails])
        index = self.index.append(self.index)
        return Arcs(tails, heads, np.concatenate([self.p, self.p]), index)


def compiled(
    arcs: Arcs, nodes: Vocabulary, *, undirected: bool, parallel: Parallel, problems: Problems
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """`in_ptr`, `source` and `probability` of a `SocialGraph`; self-loops are dropped.

    Raises: the error of `problems` listing rows that are no nodes, bad probabilities and what `parallel` refuses.
    """
    if parallel not in get_args(Parallel):
        problems.add(f"`parallel` must be one of {', '.join(get_args(Parallel))} (got {parallel!r})")
    n = len(nodes)
    inside = (np.minimum(arcs.tails, arcs.heads) >= 0) & (np.maximum(arcs.tails, arcs.heads) < n)
    required, remedy = f"an arc must join rows of nodes from 0 to {n - 1}", "correct the rows, or pass more nodes"
    problems.rows(~inside, arcs.index, required, remedy)
    if not nodes.alive.all():
        gone = np.zeros(len(inside), dtype=np.bool_)
        gone[inside] = ~(nodes.alive[arcs.tails[inside]] & nodes.alive[arcs.heads[inside]])
        problems.rows(gone, arcs.index, "an arc must not join nodes that were forgotten", "drop these arcs")
    good = (arcs.p >= 0) & (arcs.p <= 1)
    problems.rows(~good, arcs.index, "probabilities must be numbers from 0 to 1", "correct them, or leave them out")
    # Pairs come together, by target; a stable sort leaves the first of each pair in front.
    arcs = arcs.where(inside & good & (arcs.tails != arcs.heads))
    arcs = arcs.both_ways() if undirected else arcs
    order = np.argsort(arcs.heads * n + arcs.tails, kind="stable")
    arcs = Arcs(arcs.tails[order], arcs.heads[order], arcs.p[order], arcs.index[order])
    arcs = _merged(arcs, parallel, problems)
    problems.raise_any()
    if len(arcs.p) and arcs.p.min() < arcs.p.max():
        order = np.lexsort((arcs.tails, -arcs.p, arcs.heads))
        arcs = Arcs(arcs.tails[order], arcs.heads[order], arcs.p[order], arcs.index)
    in_ptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(arcs.heads, minlength=n), out=in_ptr[1:])
    return in_ptr, arcs.tails.astype(np.int32), np.ascontiguousarray(arcs.p)


def _merged(arcs: Arcs, parallel: Parallel, problems: Problems) -> Arcs:
    """One arc a pair, by the policy, of arcs whose pairs lie together."""
    first = np.ones(len(arcs.p), dtype=np.bool_)
    first[1:] = (arcs.tails[1:] != arcs.tails[:-1]) | (arcs.heads[1:] != arcs.heads[:-1])
    if first.all():
        return arcs
    if parallel == "raise":
        required = "a pair of nodes must have at most one arc"
        problems.rows(~first, arcs.index, required, 'drop these arcs, or pass parallel="first", "combine" or "sum"')
    starts, total = np.flatnonzero(first), arcs.p[first]
    if parallel == "combine":
        with np.errstate(divide="ignore"):  # p = 1: the logarithm of nothing
            total = -np.expm1(np.add.reduceat(np.log1p(-arcs.p), starts))
    elif parallel == "sum":
        total = np.add.reduceat(arcs.p, starts)
        above = total > 1 + SLACK
        required = "weights of parallel arcs must sum to at most 1"
        problems.rows(above, arcs.index[first], required, "scale them, or combine the arcs otherwise")
    return Arcs(arcs.tails[first], arcs.heads[first], np.minimum(total, 1.0), arcs.index[first])


def spans(ptr: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every place in the segments `ptr[row]` to `ptr[row + 1]` of the rows, one segment after another."""
    starts = ptr[rows]
    lengths = ptr[rows + 1] - starts
    ends = np.cumsum(lengths)
    return np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
