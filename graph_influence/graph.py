"""A directed social graph with arc probabilities, in compressed rows both ways, which people and ties can leave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from graph_influence.arcs import SLACK, Arcs, Parallel, compiled, spans
from graph_influence.coins import steps
from graph_influence.errors import InvalidGraph, UnknownIds
from graph_influence.frames import read_frame
from unlearn.forget import ForgetSet, Id, few
from unlearn.invalid import Problems
from unlearn.vocabulary import Vocabulary


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
        the weights (linear threshold; with 1 / number of in-arcs, weighted cascade of a multigraph), "raise" refuses
        them.

        Raises:
            InvalidGraph: listing every problem: rows that are no integers, lengths, rows out of range or forgotten,
                probabilities outside [0, 1] or not finite, parallel arcs under "raise", sums above 1 under "sum".
        """
        vocabulary = nodes if isinstance(nodes, Vocabulary) else Vocabulary(np.arange(nodes, dtype=np.int64))
        problems = Problems("these arcs", InvalidGraph)
        tails, heads = (_rows(rows, name, problems) for name, rows in (("source", source), ("target", target)))
        given = np.asarray(probability, dtype=np.float64)
        if tails.shape != heads.shape or given.shape not in ((), tails.shape):
            problems.add(
                f"`source`, `target` and `probability` must be of one length "
                f"(got {len(tails)}, {len(heads)} and {given.size})"
            )
            problems.fail()
        problems.raise_any()
        arcs = Arcs(tails, heads, np.broadcast_to(given, tails.shape), pd.RangeIndex(len(tails), name="arc"))
        return cls._of(arcs, vocabulary, undirected=undirected, parallel=parallel, problems=problems)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        source: str = "source",
        target: str = "target",
        probability: str | None = None,
        nodes: Vocabulary | None = None,
        undirected: bool = False,
        parallel: Parallel = "first",
        problems: Problems | None = None,
    ) -> SocialGraph:
        """A graph from a frame with one row an arc, by external ids; without `probability` every arc has 1.

        Ids get rows in ascending order, unless `nodes` are given. `problems` are those that its reader has found
        already. The rest is as in `from_arcs`.

        Raises:
            InvalidGraph: listing every problem with the labels of its rows (`frame.index`).
        """
        problems = Problems("the frame", InvalidGraph) if problems is None else problems
        arcs, vocabulary = read_frame(frame, source, target, probability, nodes, problems)
        return cls._of(arcs, vocabulary, undirected=undirected, parallel=parallel, problems=problems)

    @classmethod
    def _of(
        cls, arcs: Arcs, nodes: Vocabulary, *, undirected: bool, parallel: Parallel, problems: Problems
    ) -> SocialGraph:
        in_ptr, source, p = compiled(arcs, nodes, undirected=undirected, parallel=parallel, problems=problems)
        return cls(nodes, in_ptr, source, p, np.ones(len(source), dtype=np.bool_))

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
        return int(np.count_nonzero(self.nodes.alive))

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

    @cached_property
    def share(self) -> NDArray[np.uint64]:
        """Where the arc's part of its target's unit interval begins, [m], in steps of 2 ** -53 as coins are.

        Under linear threshold the coin of a node falls into the part of one in-arc, which is then the live one, or of
        none. Parts keep their places when arcs leave, so that everybody else's choice stays what it was.
        """
        before = np.zeros(self.num_arcs + 1, dtype=np.uint64)
        np.cumsum(steps(self.probability), out=before[1:])
        return before[:-1] - np.repeat(before[self.in_ptr[:-1]], np.diff(self.in_ptr))

    def in_degree(self) -> NDArray[np.int64]:
        """Arcs that are there and point to each node, [n]."""
        return np.bincount(self.target[self.alive], minlength=self.num_nodes)

    def out_degree(self) -> NDArray[np.int64]:
        """Arcs that are there and leave each node, [n]."""
        return np.bincount(self.source[self.alive], minlength=self.num_nodes)

    def require_weights(self) -> None:
        """For whoever reads probabilities as weights of the linear threshold model.

        Raises:
            InvalidGraph: the weights of some nodes' in-arcs sum to more than 1.
        """
        total = np.bincount(self.target, self.probability, minlength=self.num_nodes)
        problems = Problems("these weights", InvalidGraph)
        problems.rows(
            total > 1 + SLACK,
            pd.Index(self.nodes.ids, name="node"),
            "under linear threshold the weights of a node's in-arcs must sum to at most 1",
            f"scale them (the largest sum is {total.max(initial=0.0):.6g}), or use weighted cascade",
        )
        problems.raise_any()

    def require_weighted_cascade(self) -> None:
        """For whoever is to renormalise probabilities later.

        Raises:
            InvalidGraph: some are not those of weighted cascade, 1 / in-degree.
        """
        _require_weighted_cascade(self.probability, self.alive, self.target)

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

    def pairs(self, arcs: NDArray[np.int64]) -> tuple[tuple[Id, Id], ...]:
        """External ids (source, target) of the arcs [k]: what `arcs` takes."""
        return tuple(zip(self.nodes.take(self.source[arcs]), self.nodes.take(self.target[arcs]), strict=True))

    def with_probability(self, probability: ArrayLike) -> SocialGraph:
        """The same arcs with other probabilities [m], or one for all; tombstones keep 0.

        Arcs keep their ids, unless the probabilities of some node's in-arcs would no longer descend: then they are
        ordered and numbered anew, and what was removed is dropped.

        Raises:
            InvalidGraph: they are of another shape, or outside [0, 1].
        """
        given = np.asarray(probability, dtype=np.float64)
        if given.shape not in ((), (self.num_arcs,)):
            raise InvalidGraph(f"`probability` must have shape [{self.num_arcs}] (got {list(given.shape)})")
        there = np.flatnonzero(self.alive)
        p, heads = np.broadcast_to(given, (self.num_arcs,))[there], self.target[there]
        descends = (p[1:] <= p[:-1]) | (heads[1:] != heads[:-1])
        if not (descends.all() and p.min(initial=0.0) >= 0 and p.max(initial=0.0) <= 1):
            return SocialGraph.from_arcs(self.source[there], heads, p, nodes=self.nodes, parallel="raise")
        changed = np.zeros(self.num_arcs)
        changed[there] = p
        return self._handing_down("target", "out", probability=changed)

    def without(
        self, forget: ForgetSet, *, renormalise: bool = False, unknown: Literal["raise", "skip"] = "raise"
    ) -> SocialGraph:
        """The graph without users (and all their arcs) and ties: tombstones, until `compact`.

        Ids come as `Interactions` takes them: users are external ids, a tie is a pair (source, target), and only that
        direction goes. Items and interactions are none of a graph's business and are left alone. Probabilities that
        remain are frozen, or with `renormalise` those of weighted cascade on what is left: 1 / in-degree.

        Raises:
            UnknownIds: a user or a tie that is not there, under `unknown="raise"`; nothing has changed then.
            InvalidGraph: `renormalise`, where probabilities are not those of weighted cascade.
        """
        rows, arcs = self.nodes.rows(forget.users, unknown="mark"), self.arcs(forget.ties)
        if unknown == "raise" and (bool((rows < 0).any()) or bool((arcs < 0).any())):
            missing: list[Any] = [user for user, row in zip(forget.users, rows, strict=True) if row < 0]
            missing += [tie for tie, arc in zip(forget.ties, arcs, strict=True) if arc < 0]
            raise UnknownIds(
                f"users and ties must be in the graph ({len(missing)} of {len(rows) + len(arcs)} are unknown or "
                f'forgotten: {few(missing)}); remove them, or pass unknown="skip" from Python'
            )
        return self.without_rows(rows[rows >= 0], arcs[arcs >= 0], renormalise=renormalise)

    def without_rows(
        self, rows: NDArray[np.int64], arcs: NDArray[np.int64], *, renormalise: bool = False
    ) -> SocialGraph:
        """`without`, by rows of nodes [k] and ids of arcs [l]."""
        out_ptr, leaving = self.out
        gone = np.concatenate([arcs, spans(self.in_ptr, rows), leaving[spans(out_ptr, rows)]])
        alive, probability, share = self.alive.copy(), self.probability.copy(), self.share
        alive[gone] = False
        probability[gone] = 0.0
        if renormalise:
            heads = np.unique(self.target[gone]).astype(np.int64)
            place = spans(self.in_ptr, heads)
            group = np.repeat(np.arange(len(heads)), self.in_ptr[heads + 1] - self.in_ptr[heads])
            _require_weighted_cascade(self.probability[place], self.alive[place], group)
            probability[place] = _weighted_cascade(alive[place], group)
            widths, share = steps(probability[place]), share.copy()
            before = np.cumsum(widths) - widths
            share[place] = before - before[np.searchsorted(group, group)]
        nodes = self.nodes.without(rows)
        left = self._handing_down("target", "out", nodes=nodes, alive=alive, probability=probability)
        left.__dict__["share"] = share
        return left

    def _handing_down(self, *cached: str, **changes: Any) -> SocialGraph:
        """This graph with some fields changed, and what is cached of it that does not change with them."""
        other = replace(self, **changes)
        for name in cached:
            other.__dict__[name] = getattr(self, name)
        return other

    def compact(self) -> SocialGraph:
        """The same graph with rows and arcs numbered anew: what was removed is physically gone.

        Coins are named by arcs, so runs of the same seed toss others from here on.
        """
        rows = np.flatnonzero(self.nodes.alive)
        number = np.cumsum(self.nodes.alive, dtype=np.int32) - np.int32(1)
        in_ptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(self.in_degree()[rows], out=in_ptr[1:])
        left: Any = self.nodes.ids[rows]
        source, p = number[self.source[self.alive]], self.probability[self.alive]
        return SocialGraph(Vocabulary(left), in_ptr, source, p, np.ones(len(source), dtype=np.bool_))


def _rows(given: ArrayLike, name: str, problems: Problems) -> NDArray[np.int64]:
    """Rows of nodes as int64 [k]; others than integers are noted, which would be rounded to somebody's."""
    rows = np.asarray(given).ravel()
    if len(rows) and rows.dtype.kind not in "iu":
        problems.add(f"`{name}` must hold rows of nodes as integers (got {rows.dtype}); convert them first")
        return np.zeros(len(rows), dtype=np.int64)
    return rows.astype(np.int64, copy=False)


def _weighted_cascade(alive: NDArray[np.bool_], group: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """1 / in-degree of the arcs that are there, 0 of the others, [k], for the targets that `group` numbers."""
    degree = np.bincount(group, alive)[group]
    return np.divide(1.0, degree, out=np.zeros(len(alive)), where=alive)


def _require_weighted_cascade(
    probability: NDArray[np.float64], alive: NDArray[np.bool_], group: NDArray[np.integer[Any]]
) -> None:
    expected = _weighted_cascade(alive, group)
    other = np.abs(probability - expected) > SLACK * expected
    if other.any():
        raise InvalidGraph(
            "probabilities must be those of weighted cascade, 1 / in-degree, to be renormalised (got "
            f"{probability[other][0]:.12g} in place of {expected[other][0]:.12g}); leave them frozen, or apply that "
            "scheme"
        )
