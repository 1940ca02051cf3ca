"""Reverse-reachable sets of a social graph, both ways: what everything else here counts on.

A reverse-reachable set is everybody who would have activated its root, a person drawn at random, in one random live-arc
graph (Borgs et al., "Maximizing social influence in nearly optimal time", SODA 2014, arXiv 1212.0884). Seeds S hit it
with probability spread(S) / n, so n times the share of sets that S hits estimates the spread without bias.

**A store is a function of its graph, its seed and its number of sets.** Every coin has a name (seed, set, node, place),
so set i is the same whatever the batches, the threads and the sets before it; and when somebody leaves, `update` makes
the store what drawing everything again with the same names would make it, by drawing only the sets that can differ, or
all where those are a large part. (Places among arcs of unequal probability are those of the graph that the store began
with: `InArcs`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from statistics import NormalDist
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import purpose
from graph_influence.diffusion import Model
from graph_influence.graph import SocialGraph
from graph_influence.rrsets.deletion import Difference, rewritten
from graph_influence.rrsets.in_arcs import InArcs
from graph_influence.rrsets.rows import Incidence, Rows, mark_held
from graph_influence.rrsets.sampler import Drawn, draw
from unlearn.compiled import kernel
from unlearn.interruption import undisturbed
from unlearn.invalid import InvalidInput

# Share of the members that stand in sets to be redrawn from which on drawing all sets is quicker. Members tell the
# work, sets do not: those that somebody is in are large. Measured: 0.35 to 0.6 by graph, model and semantics.
_REBUILD = 1 / 3

NodeRows = Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Spread:
    """Expected number of people activated, with the ends of an interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Update:
    """What an update did: how many sets were drawn again, and how many of them came out otherwise.

    Where all were drawn anew (`rebuilt`) nobody compares them, and `changed` counts all.
    """

    redrawn: int
    changed: int
    rebuilt: bool


class RRSets:
    """Random reverse-reachable sets under independent cascade ("ic") or linear threshold ("lt").

    `members` holds a row a set: its root first, then as they were met. `sets` holds a row a node: the numbers of the
    sets that contain it, ascending; it is built when first asked for and then kept. With `sentinels` (rows of nodes;
    who left is none) a set ends with the first of them that it meets and is `covered`, bool [sets]. It draws with
    `threads`, or with as many as numba would use.

    Draws follow SUBSIM (Guo et al., "Influence maximization revisited: efficient reverse reachable set generation with
    bound tightened", SIGMOD 2020) under IC and walk back one arc a node under LT (Tang, Shi and Xiao, "Influence
    maximization in near-linear time: a martingale approach", SIGMOD 2015). **Differences**: each node of a set has a
    stream of coins of its own, so that any set can be drawn again; logarithms are double precision; nodes without
    arcs and arcs of probability 1 are treated as such; sentinels are looked for everywhere.

    Raises:
        InvalidGraph: in-weights of a node sum to more than 1 under "lt".
        InvalidInput: a model, seed or number of threads that there is not, or a sentinel that is no row of the graph.
    """

    def __init__(
        self,
        graph: SocialGraph,
        model: Model = "ic",
        *,
        seed: int = 0,
        sentinels: NodeRows = (),
        threads: int | None = None,
    ) -> None:
        wrong: list[str] = []
        if model not in get_args(Model):
            wrong.append(f"`model` must be one of {', '.join(get_args(Model))} (got {model!r})")
        if not 0 <= seed < 2**64:
            wrong.append(f"`seed` must be from 0 to 2^64 - 1 (got {seed})")
        if threads is not None and threads < 1:
            wrong.append(f"`threads` must be at least 1 (got {threads})")
        if wrong:
            raise InvalidInput("; ".join(wrong))
        self.graph = graph
        self.seed = seed
        # Runs of cascades are numbered, too: by the same key, set i would be drawn by the coins of run i.
        self._key = purpose(seed, "sets")
        self.threads = threads
        self.arcs = InArcs.of(graph, model)
        self.members = Rows.empty()
        self.covered = np.zeros(0, dtype=np.bool_)
        self._sentinel = self._marked(sentinels) & graph.nodes.alive
        self._sets: Rows | None = None

    @classmethod
    def resumed(cls, graph: SocialGraph, arcs: InArcs, seed: int, members: Rows) -> RRSets:
        """A store without sentinels from what was kept of one: the places of its draws, and its sets."""
        store = cls(graph, arcs.model, seed=seed)
        store.arcs, store.members, store.covered = arcs, members, np.zeros(len(members), dtype=np.bool_)
        return store

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        return f"RRSets({len(self)} sets of {self.graph!r}, {self.nbytes / 1e6:.1f} MB)"

    @property
    def model(self) -> Model:
        """How influence spreads: "ic" or "lt"."""
        return self.arcs.model

    @property
    def sets(self) -> Rows:
        """Row w: the sets that contain node w, ascending."""
        if self._sets is None:
            self._sets = self.members.inverted(self.graph.num_nodes, self.threads)
        return self._sets

    def incidence(self) -> Incidence:
        """`members` and `sets` for compiled loops."""
        members, sets = self.members, self.sets
        return Incidence(members.start, members.length, members.data, sets.start, sets.length, sets.data)

    @property
    def nbytes(self) -> int:
        """Bytes of the sets, both ways where the other way was asked for."""
        return self.members.nbytes + self.covered.nbytes + (0 if self._sets is None else self._sets.nbytes)

    def grow(self, count: int) -> None:
        """Draw `count` more sets, their roots uniform over who is there.

        Raises:
            InvalidInput: `count` is negative or makes more sets than 32 bits can number, or nobody is there.
        """
        total = len(self) + count
        if count < 0 or total >= 2**31 or not self.graph.num_alive:
            raise InvalidInput(
                f"`count` must be at least 0 and make fewer than 2^31 sets of a graph with people "
                f"(got {count}, after {len(self)} sets, {self.graph.num_alive} people)"
            )
        drawn = self._drawn(np.arange(len(self), total), self.graph, self.arcs, self._sentinel)
        members = self.members.extended(drawn.length, drawn.members, self.threads)
        self.members, self.covered, self._sets = members, np.concatenate([self.covered, drawn.covered]), None

    def update(self, graph: SocialGraph) -> Update:
        """Follow the graph to what is left of it: the store becomes what drawing everything from it would give.

        Roots stay, except that the sets of somebody who left get another, uniform over who is left; all coins are
        those of before. So sets are independent and identically distributed on the new graph, for as long as who
        leaves does not depend on the draws. What probabilities the graph has says what deletion means: *frozen*
        (`graph.without`) leaves those of the others as they are, and redraws the sets of who left; *renormalised*
        (weighted cascade again) changes those of all arcs into the neighbours, and redraws the neighbours' sets, too.
        Past a measured share of the members, redrawing all is quicker, and is what happens.

        Measured under weighted cascade with 500,000 sets, milliseconds of one thread for a random person (median) and
        for one of the twenty in most sets: on NetHEPT 0.4 and 3 frozen, 1.1 and 25 renormalised, where a rebuild takes
        105; on NetPHY 0.7 and 2.5, 1.8 and 16, of 150.

        Raises:
            InvalidGraph: it is not the store's graph with fewer people or arcs or with other probabilities, or has
                weights that the model does not allow. Nothing has changed then.
        """
        difference = Difference.between(self.graph, graph)
        arcs = self.arcs.after(graph, difference.arcs, difference.reweighted)
        numbers = difference.touched(graph, self.sets, len(self))
        share = self.members.length[numbers].sum() / max(self.members.used, 1)
        rebuild = share > _REBUILD or not graph.num_alive
        if rebuild:
            numbers = np.arange(len(self) if graph.num_alive else 0)
        sentinel = self._sentinel & graph.nodes.alive
        drawn = self._drawn(numbers, graph, arcs, sentinel)
        # Rows are written over in place: of an index that was and sets that were not, nobody would find who left.
        with undisturbed():
            if rebuild:
                self.members = Rows.empty().extended(drawn.length, drawn.members, self.threads)
                self._sets, changed = self.members.inverted(graph.num_nodes, self.threads), len(numbers)
                self.covered = drawn.covered
            else:
                self.members, self._sets, changed = rewritten(self.members, self.sets, numbers, drawn)
                self.covered[numbers] = drawn.covered
            self.graph, self.arcs, self._sentinel = graph, arcs, sentinel
        return Update(len(numbers), changed, rebuild)

    def copy(self) -> RRSets:
        """The same sets in a store of its own, which goes its own way from here."""
        twin = copy(self)
        twin.members, twin.covered = self.members.copy(), self.covered.copy()
        twin._sets = None if self._sets is None else self._sets.copy()
        return twin

    def compact(self) -> RRSets:
        """As many sets of the compacted graph: nothing of who was forgotten is in it, as if they had never been there.

        Numbers of rows and arcs name the coins, so all sets are drawn anew. It costs what `grow` costs.
        """
        alive = self.graph.nodes.alive
        store = RRSets(
            self.graph.compact(),
            self.model,
            seed=self.seed,
            sentinels=(np.cumsum(alive) - 1)[self._sentinel],
            threads=self.threads,
        )
        if len(self):
            store.grow(len(self))
        return store

    def coverage(self, rows: NodeRows) -> int:
        """Number of sets that contain any of the rows.

        Raises:
            InvalidInput: a row is none of the graph, or sentinels are not among the rows: a set that ended with one
                does not tell who else would be in it.
        """
        chosen = self._marked(rows)
        missing = int((self._sentinel & ~chosen).sum())
        if missing:
            raise InvalidInput(f"`rows` must contain all sentinels of truncated sets ({missing} are missing)")
        hit = self.covered.copy()
        if self._sets is None:
            _mark_holding(self.members.start, self.members.length, self.members.data, chosen, hit)
        else:
            mark_held(self._sets.start, self._sets.length, self._sets.data, np.flatnonzero(chosen), hit)
        return int(np.count_nonzero(hit))

    def spread(self, rows: NodeRows, confidence: float = 0.95) -> Spread:
        """Expected number of people that the rows activate, themselves included: n coverage / sets.

        n counts who is there now; where no set is drawn yet (`grow`), the mean is NaN. The interval is Wilson's, of a
        proportion; it is right for rows that were chosen without looking at these sets, and too high for rows that were
        chosen to cover them.
        """
        n, theta = self.graph.num_alive, len(self)
        if not theta:
            return Spread(float("nan"), 0.0, float(n))
        share, z = self.coverage(rows) / theta, NormalDist().inv_cdf((1 + confidence) / 2)
        middle = (share + z * z / (2 * theta)) / (1 + z * z / theta)
        half = z / (1 + z * z / theta) * (share * (1 - share) / theta + (z / (2 * theta)) ** 2) ** 0.5
        # By rounding, the end of a share of none or of all may lie beside it.
        low, high = max(min(middle - half, share), 0.0), min(max(middle + half, share), 1.0)
        return Spread(n * share, n * low, n * high)

    def _drawn(
        self, numbers: NDArray[np.int64], graph: SocialGraph, arcs: InArcs, sentinel: NDArray[np.bool_]
    ) -> Drawn:
        size = 1.1 * self.members.used / len(self) if len(self) else 4.0
        return draw(arcs, graph.nodes.alive, sentinel, self._key, numbers, size, self.threads)

    def _marked(self, rows: NodeRows) -> NDArray[np.bool_]:
        listed = np.asarray(rows, dtype=np.int64)
        n = self.graph.num_nodes
        if len(listed) and (listed.min() < 0 or listed.max() >= n):
            raise InvalidInput(f"rows of nodes must be from 0 to {n - 1} (got {listed.min()} to {listed.max()})")
        marked = np.zeros(n, dtype=np.bool_)
        marked[listed] = True
        return marked


@kernel
def _mark_holding(
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    chosen: NDArray[np.bool_],
    hit: NDArray[np.bool_],
) -> None:
    """Marks the rows that hold anything chosen."""
    for row in range(len(start)):
        place, last = start[row], start[row] + length[row]
        while not hit[row] and place < last:
            hit[row] = chosen[data[place]]
            place += 1
