"""Seeds that stand while people leave: kept for as long as their ratio is proven, refilled, or chosen anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import purpose
from graph_influence.diffusion import Model
from graph_influence.errors import InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import ranked
from graph_influence.maximize.coverage import Greedy, greedy
from graph_influence.maximize.judged import Collections, Selected
from graph_influence.maximize.opim import Opim
from graph_influence.maximize.stopping import Rule, Share, StandingShare
from graph_influence.rrsets import RRSets, Spread, Update
from unlearn.forget import Id

S = TypeVar("S", bound=Selected)
K = TypeVar("K")  # what is kept of a selection
_SLACK = 0.98  # of a proven ratio, which may go before anything is chosen anew


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What it took to follow the graph: places that were lost, whether everything was chosen anew, the ratio proven
    now, and what became of the two collections of sets.
    """

    lost: int
    chosen_anew: bool
    ratio: float
    selection: Update
    judging: Update


@dataclass(frozen=True, slots=True)
class Course:
    """How far the proof has come: see `Standing`."""

    looks: int
    ratio: float
    least: float


class Standing(ABC, Generic[S, K]):
    """A selection on two collections of sets that follow their graph.

    `ratio` is proven for all selections that there will have been, together with probability 1 - `delta`. Every new
    selection is made and judged on sets drawn after the one before was dismissed, as many as there were then, and half
    of what was left of delta is for them: look t at them, whether or not it changed anything, spends 6 / (pi t)^2 of
    that (`StandingShare`). `looks` were taken at those there are; below a ratio of `least` everything is chosen anew.
    `graph` is the one that it stands on. An update that was interrupted leaves the one before: ask for it again.

    It holds for deletions that are *oblivious*: who leaves must not depend on the draws. Somebody who leaves because
    they were selected does depend on them, through the selection; where that is common, make a new one now and then.
    """

    def __init__(self, graph: SocialGraph, model: Model, seed: int, rule: Rule, first: int) -> None:
        self.model: Model = model
        self.seed = seed
        assert isinstance(rule, Share)
        self.rule = StandingShare(rule.share, rule.delta)
        self._select(graph, seed, first)
        self.graph = graph

    @abstractmethod
    def _choose(self, sets: RRSets, kept: K | None) -> S:
        """A greedy selection, which goes on from what is kept of the one before."""

    @property
    def spread(self) -> Spread:
        """Expected number of people activated, on the collection that had no part in the choice."""
        return self.collections.judging.spread(self.selected.rows)

    def copy(self) -> Self:
        """The same selection on sets of its own, which goes its own way from here."""
        twin = copy(self)
        twin.collections = self.collections.copy()
        return twin

    def _select(self, graph: SocialGraph, seed: int, first: int) -> None:
        rule, collections = replace(self.rule, delta=self.rule.delta / 2), Collections.draw(graph, self.model, seed)
        found = collections.double(first, lambda sets: self._choose(sets, None), rule)
        self.rule, self.collections, (self.selected, self.ratio, self.looks) = rule, collections, found
        self.least = _SLACK * self.ratio

    def _updated(self, graph: SocialGraph) -> tuple[Update, Update]:
        """Both collections on what is left of their graph. Raises: InvalidGraph; nothing has changed then."""
        return self.collections.selection.update(graph), self.collections.judging.update(graph)

    def _reviewed(self, kept: K, lost: int, updates: tuple[Update, Update]) -> Upkeep:
        """Go on with what is kept, which has lost so many places, or choose anew where that is not good enough."""
        pair, graph, look = self.collections, self.collections.judging.graph, self.looks + 1
        selected = self._choose(pair.selection, kept)
        ratio = pair.evidence(selected, self.rule.log_inverse(look)).certified
        anew = ratio < self.least
        if anew:
            self._select(graph, purpose(pair.judging.seed, "anew"), len(pair.judging))
        else:
            self.selected, self.ratio, self.looks = selected, ratio, look
        self.graph = graph
        return Upkeep(lost, anew, self.ratio, *updates)


class StandingSeeds(Standing[Greedy, NDArray[np.int32]]):
    """`k` seeds by `Opim`, which stand while people and ties leave.

    After each change both bounds are taken anew on the updated sets. Seeds that left are replaced greedily, given those
    who stay; as long as the ratio is at least 0.98 of what was proven when everybody was last chosen, nobody else is
    touched. Else the greedy begins anew, and sets are added until the rule is content again.

    Raises:
        InvalidRequest: as `Opim.maximize`.
    """

    def __init__(
        self,
        graph: SocialGraph,
        k: int,
        *,
        model: Model = "ic",
        seed: int = 0,
        share: float = 0.95,
        delta: float | None = None,
    ) -> None:
        method = Opim(model=model, seed=seed, share=share, delta=delta)
        method.check(graph, k)
        self.k = k
        super().__init__(graph, model, seed, *method.rule_for(graph.num_alive, k))

    @classmethod
    def resumed(
        cls, collections: Collections, selected: Greedy, k: int, seed: int, rule: StandingShare, course: Course
    ) -> StandingSeeds:
        """Seeds that go on standing, from what was kept of them."""
        standing = cls.__new__(cls)
        standing.k, standing.seed, standing.model, standing.rule = k, seed, collections.selection.model, rule
        standing.collections, standing.selected, standing.graph = collections, selected, collections.judging.graph
        standing.looks, standing.ratio, standing.least = course.looks, course.ratio, course.least
        return standing

    @property
    def nodes(self) -> tuple[Id, ...]:
        """The seeds in the order in which they were picked."""
        return tuple(self.graph.nodes.take(self.selected.rows))

    def update(self, graph: SocialGraph) -> Upkeep:
        """Follow the graph to what is left of it, as `RRSets.update` does; there are fewer seeds when fewer are left.

        Raises:
            InvalidGraph: as `RRSets.update`.
            InvalidRequest: nobody is left.
            Nothing has changed then.
        """
        if not graph.num_alive:
            raise InvalidRequest("seeds must be people who are there (nobody is left); drop them with the graph")
        rows = self.selected.rows
        kept = rows[graph.nodes.alive[rows]]
        return self._reviewed(kept, len(rows) - len(kept), self._updated(graph))

    def _choose(self, sets: RRSets, kept: NDArray[np.int32] | None) -> Greedy:
        return greedy(sets, min(self.k, sets.graph.num_alive), ranked(sets.graph), kept)
