"""A directed social graph with arc probabilities, in compressed rows both ways, which people and ties can leave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unlearn.forget import ForgetSet, UnknownIds
from unlearn.invalid import InvalidInput, Problems
from unlearn.vocabulary import Id, Vocabulary

Parallel = Literal["first", "combine", "sum", "raise"]


class InvalidGraph(InvalidInput):
    """The input cannot be read as a social graph."""

    reads_as: ClassVar[str] = "a social graph"


@dataclass(frozen=True, eq=False)
class SocialGraph:
    """Who can activate whom, and how probably; immutable by convention: every operation returns a new graph.

    Arc e runs from `source[e]` to the node in whose segment of `in_ptr` it lies: arcs are ordered by target, then by
    descending probability at the time of building, then by source, so the id of an arc is its place in the reverse
    adjacency. Ids are stable: what is removed becomes a tombstone (`alive` False, probability 0, source kept until
    `compact`), and no other arc or node changes its number.

    Shapes:
        in_ptr int64 [n + 1]; source int32 [m]; probability float64 [m]; alive bool [m]; nodes: ids of the n rows, of
        which forgotten ones are tombstones.
    """

    nodes: Vocabulary
    in_ptr: NDArray[np.int64]
    source: NDArray[np.int32]
    probability: NDArray[np.float64]
    alive: NDArray[np.bool_]

    @classmethod
    def from_arcs(
        cls,
        source: ArrayLike,
        target: ArrayLike,
        probability: ArrayLike | float = 1.0,
        *,
        nodes: Vocabulary | int,
        undirected: bool = False,
        parallel: Parallel = "first",
    ) -> SocialGraph:
        """A graph from rows of nodes; self-loops, which never activate anybody, are dropped.

        `undirected` adds the reverse of every arc. `parallel` says what becomes of several arcs from one node to
        another: the "first" stays (the simple graph), "combine" gives 1 - prod(1 - p) (each tries once), "sum" adds
        the weights (linear threshold), "raise" refuses them.

        Raises:
            InvalidGraph: listing every problem: lengths, rows out of range, probabilities outside [0, 1] or not
                finite, parallel arcs under "raise", sums above 1 under "sum".
        """
        vocabulary = Vocabulary(np.arange(nodes, dtype=np.int64)) if isinstance(nodes, int) else nodes
        n = len(vocabulary)
        tails, heads = np.asarray(source, dtype=np.int64).ravel(), np.asarray(target, dtype=np.int64).ravel()
        given = np.asarray(probability, dtype=np.float64)
        problems = Problems("these arcs", InvalidGraph)
        if tails.shape != heads.shape or given.shape not in ((), tails.shape):
            problems.add(
                f"`source`, `target` and `probability` must be of one length "
                f"(got {len(tails)}, {len(heads)} and {given.size})"
            )
            problems.fail()
        p = np.broadcast_to(given, tails.shape)
        outside = (np.minimum(tails, heads) < 0) | (np.maximum(tails, heads) >= n)
        bad = ~((p >= 0) & (p <= 1))
        for mask, required in (
            (outside, f"rows of nodes must be from 0 to {n - 1}"),
            (bad, "probabilities must be finite and from 0 to 1"),
        ):
            if mask.any():
                problems.add(f"{required} ({int(mask.sum())} are not, first at arc {int(mask.argmax())})")
        problems.raise_any()
        if undirected:
            tails, heads, p = np.concatenate([tails, heads]), np.concatenate([heads, tails]), np.concatenate([p, p])
        keep = tails != heads
        tails, heads, p = _merged(tails[keep], heads[keep], p[keep], n, parallel, problems)
        order = np.lexsort((tails, -p, heads))
        in_ptr = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.bincount(heads, minlength=n), out=in_ptr[1:])
        return cls(
            nodes=vocabulary,
            in_ptr=in_ptr,
            source=tails[order].astype(np.int32),
            probability=np.ascontiguousarray(p[order]),
            alive=np.ones(len(order), dtype=np.bool_),
        )

    def __repr__(self) -> str:
        return f"SocialGraph({self.num_alive} nodes, {int(self.alive.sum())} arcs)"

    @property
    def num_nodes(self) -> int:
        """Number of node rows, tombstones included."""
        return len(self.nodes)

    @property
    def num_arcs(self) -> int:
        """Number of arc ids, tombstones included."""
        return len(self.source)

    @cached_property
    def num_alive(self) -> int:
        """Number of nodes that are there: the n of every spread."""
        return int(self.nodes.alive.sum())

    @cached_property
    def target(self) -> NDArray[np.int32]:
        """Node that each arc points to, [m]."""
        return np.repeat(np.arange(self.num_nodes, dtype=np.int32), np.diff(self.in_ptr))

    @cached_property
    def out(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Forward adjacency: `out_ptr` [n + 1] and the ids of the arcs that leave each node, by target, [m]."""
        out_ptr = np.zeros(self.num_nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.source, minlength=self.num_nodes), out=out_ptr[1:])
        # Arcs are in order of their targets already, and a stable sort keeps that order.
        return out_ptr, np.argsort(self.source, kind="stable").astype(np.int64)

    def in_degree(self) -> NDArray[np.int64]:
        """Arcs that are there and point to each node, [n]."""
        return np.bincount(self.target[self.alive], minlength=self.num_nodes)

    def out_degree(self) -> NDArray[np.int64]:
        """Arcs that are there and leave each node, [n]."""
        return np.bincount(self.source[self.alive], minlength=self.num_nodes)

    def arcs(self, pairs: Iterable[tuple[Id, Id]]) -> NDArray[np.int64]:
        """Ids [k] of the arcs between external ids (source, target); -1 where there is none."""
        listed = list(pairs)
        tails = self.nodes.rows([pair[0] for pair in listed], unknown="mark")
        heads = self.nodes.rows([pair[1] for pair in listed], unknown="mark")
        found = np.full(len(listed), -1, dtype=np.int64)
        for place, (tail, head) in enumerate(zip(tails.tolist(), heads.tolist(), strict=True)):
            if tail < 0 or head < 0:
                continue
            start, end = self.in_ptr[head], self.in_ptr[head + 1]
            hits = np.flatnonzero((self.source[start:end] == tail) & self.alive[start:end])
            if len(hits):
                found[place] = start + hits[0]
        return found

    def with_probability(self, probability: NDArray[np.float64]) -> SocialGraph:
        """The same arcs with other probabilities, in a new order of arc ids where the old one would not descend.

        Raises:
            InvalidGraph: they are not of shape [m], or outside [0, 1].
        """
        alive = self.alive
        return SocialGraph.from_arcs(
            self.source[alive], self.target[alive], np.asarray(probability)[alive], nodes=self.nodes, parallel="raise"
        )

    def without(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> SocialGraph:
        """The graph without users (and all their arcs) and ties: tombstones, until `compact`.

        Ids come as `Interactions` takes them: users are external ids, a tie is a pair (source, target), and only that
        direction goes. Items and interactions are none of a graph's business and are left alone.

        Raises:
            UnknownIds: a user or a tie that is not there, under `unknown="raise"`; nothing has changed then.
        """
        rows = self.nodes.rows(forget.users, unknown="mark")
        arcs = self.arcs(forget.ties)
        if unknown == "raise" and (bool((rows < 0).any()) or bool((arcs < 0).any())):
            raise UnknownIds(
                f"users and ties must be in the graph ({int((rows < 0).sum())} users and {int((arcs < 0).sum())} ties "
                'are unknown or forgotten); remove them, or pass unknown="skip"'
            )
        return self.without_rows(rows[rows >= 0], arcs[arcs >= 0])

    def without_rows(self, rows: NDArray[np.int64], arcs: NDArray[np.int64]) -> SocialGraph:
        """`without`, by rows of nodes [k] and ids of arcs [l]."""
        out_ptr, out_arcs = self.out
        gone = [arcs, *(np.arange(int(self.in_ptr[row]), int(self.in_ptr[row + 1])) for row in rows.tolist())]
        gone += [out_arcs[out_ptr[row] : out_ptr[row + 1]] for row in rows.tolist()]
        alive, probability = self.alive.copy(), self.probability.copy()
        dropped = np.concatenate(gone)
        alive[dropped] = False
        probability[dropped] = 0.0
        left = replace(self, nodes=self.nodes.without(rows), alive=alive, probability=probability)
        for name in ("target", "out"):  # neither changes: ids are stable
            left.__dict__[name] = getattr(self, name)
        return left

    def compact(self) -> SocialGraph:
        """The same graph with rows and arcs numbered anew: what was removed is physically gone."""
        rows = np.flatnonzero(self.nodes.alive)
        number = np.full(self.num_nodes, -1, dtype=np.int64)
        number[rows] = np.arange(len(rows))
        left: Any = self.nodes.ids[rows]
        return SocialGraph.from_arcs(
            number[self.source[self.alive]],
            number[self.target[self.alive]],
            self.probability[self.alive],
            nodes=Vocabulary(left),
            parallel="raise",
        )


def _merged(
    tails: NDArray[np.int64],
    heads: NDArray[np.int64],
    p: NDArray[np.float64],
    n: int,
    parallel: Parallel,
    problems: Problems,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """One arc a pair, by the policy."""
    pairs, first, group = np.unique(tails * n + heads, return_index=True, return_inverse=True)
    if len(pairs) == len(tails):
        return tails, heads, p
    if parallel == "raise":
        problems.add(
            f"a pair of nodes must have at most one arc ({len(tails) - len(pairs)} are parallel to an earlier one); "
            'pass parallel="first", "combine" or "sum"'
        )
        problems.fail()
    if parallel == "first":
        return tails[first], heads[first], p[first]
    if parallel == "combine":
        with np.errstate(divide="ignore"):
            total = -np.expm1(np.bincount(group, np.log1p(-p)))
    else:
        total = np.bincount(group, p)
        if (total > 1 + 1e-12).any():
            problems.add(f"weights of parallel arcs must sum to at most 1 (got {total.max():.6g})")
            problems.fail()
    return tails[first], heads[first], np.minimum(total, 1.0)
