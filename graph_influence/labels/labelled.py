"""A social graph with labelled seed sets: data that people and ties can leave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graph_influence.graph import SocialGraph
from graph_influence.labels.labels import Labels
from graph_influence.surrogate.tensors import TensorGraph
from unlearn.digests import digest
from unlearn.forget import ForgetSet
from unlearn.streams import bits
from unlearn.units import Unit, Units


@dataclass(frozen=True, eq=False)
class LabelledGraph:
    """What a surrogate learns on: a graph, and how probably each of its nodes is reached from each seed set.

    A record is a seed set with a node that is there, in this order: a forgotten user takes those of its node along, is
    no seed any more and carries nothing, and a tie takes no record; but either changes labels, and `without` draws them
    anew on what is left (`Labels.without`). Labels stay what they are where units are only weighted.

    kept: float64 [m], present: float64 [n]: how far each arc and node counts, or None for all.
    """

    graph: SocialGraph
    labels: Labels
    kept: Tensor | None = None
    present: Tensor | None = None
    device: torch.device | str = "cpu"

    def __len__(self) -> int:
        return len(self.labels.sets) * self.graph.num_alive

    # ---- what a surrogate sees ---------------------------------------------------------------------------------------

    @cached_property
    def tensors(self) -> TensorGraph:
        """The graph on the device."""
        return TensorGraph.of(self.graph, self.device)

    @cached_property
    def targets(self) -> Tensor:
        """How probably the node of each record becomes active, float64 [len(self)]."""
        return torch.tensor(self.labels.probability[:, self._rows].reshape(-1), device=self.device)

    @cached_property
    def _seeds(self) -> Tensor:
        return self.tensors.seeds(*self.labels.sets)

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.graph.nodes.alive)

    def inputs(self) -> tuple[TensorGraph, Tensor, Tensor | None]:
        """Graph, seeds [b, n] and probabilities [m] of arcs, None for the graph's own."""
        tensors, seeds, p = self.tensors, self._seeds, None
        if self.kept is not None:
            p = tensors.probability * self.kept
        if self.present is not None:
            ends = self.present[tensors.source] * self.present[tensors.target]
            seeds, p = seeds * self.present, (tensors.probability if p is None else p) * ends
        return tensors, seeds, p

    def of_records(self, answers: Tensor) -> Tensor:
        """What of answers [b, n] belongs to records, [len(self)]."""
        return answers[:, torch.from_numpy(self._rows).to(answers.device)].reshape(-1)

    def standing(self) -> Tensor | None:
        """How far the seed set of each record has a seed left, [len(self)], or None where nobody is weighted.

        That is how probably it has one if seeds are there with the probability `present`, independently.
        """
        if self.present is None:
            return None
        gone = 1 - self.present
        left = [1 - gone[torch.from_numpy(rows).to(gone.device)].prod() for rows in self.labels.sets]
        return torch.stack(left).repeat_interleave(len(self._rows)) if left else gone.new_zeros(0)

    # ---- what can be forgotten ---------------------------------------------------------------------------------------

    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet:
        """The users and ties that are here.

        Raises:
            UnknownIds: anything else is named, under "raise".
        """
        users, ties = self.graph.nodes.rows(forget.users, unknown="mark") >= 0, self.graph.arcs(forget.ties) >= 0
        return forget.known("a social graph has users and ties", unknown, users=users, ties=ties)

    def positions(self, forget: ForgetSet) -> NDArray[np.int64]:
        """Places of the records that leave: of the users' nodes, and of sets that nobody is left of."""
        leaving = np.zeros(self.graph.num_nodes, dtype=np.bool_)
        leaving[self.graph.nodes.rows(forget.users)] = True
        emptied = np.array([leaving[rows].all() for rows in self.labels.sets], dtype=np.bool_)
        return np.flatnonzero(emptied[:, None] | leaving[self._rows])

    def without(self, forget: ForgetSet) -> LabelledGraph:
        """The graph that is left, with the labels of its own."""
        graph = self.graph.without(forget)
        return replace(self, graph=graph, labels=self.labels.without(self.graph, graph))

    # ---- units -------------------------------------------------------------------------------------------------------

    def units(self, unit: Unit) -> Units:
        """Users by row, or who is tied to whom, both directions being one unit.

        Raises:
            ValueError: it is to be counted in anything else.
        """
        nodes = self.graph.nodes
        if unit == "user":
            owners = np.tile(self._rows, len(self.labels.sets))
            return Units(nodes.keys, owners, lambda rows: ForgetSet(users=tuple(nodes.take(rows[nodes.alive[rows]]))))
        if unit != "tie":
            raise ValueError(f'`unit` must be "user", "tie" or "record" for a labelled graph (got {unit!r})')
        ends, number = self._ties

        def ties(chosen: NDArray[np.integer[Any]]) -> ForgetSet:
            return ForgetSet(ties=self.graph.pairs(np.flatnonzero(np.isin(number, chosen))))

        of_ends = np.sort(nodes.keys[ends], axis=1)  # the key is the pair's own, whoever has the smaller row
        nobody = np.full(len(self), -1, dtype=np.int64)
        return Units(bits(0, "ties", of_ends[:, 0], of_ends[:, 1]), nobody, ties, ends)

    @cached_property
    def _ties(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs of rows that are tied, [t, 2], and the number of each arc's pair, [m]; -1 for a tombstone."""
        graph, there = self.graph, np.flatnonzero(self.graph.alive)
        pairs = np.sort(np.column_stack([graph.source[there], graph.target[there]]).astype(np.int64), axis=1)
        ends, inverse = np.unique(pairs, axis=0, return_inverse=True)
        number = np.full(graph.num_arcs, -1, dtype=np.int64)
        number[there] = inverse.reshape(-1)
        return ends.reshape(-1, 2), number

    def weighted(self, unit: Unit, weights: Tensor) -> LabelledGraph:
        """Users count as far as their weight [n] says, as seeds and on their arcs; ties [t] on theirs."""
        units = self.units(unit)
        if weights.shape != (len(units),):
            raise ValueError(f"`weights` must have shape ({len(units)},) for {unit!r} (got {tuple(weights.shape)})")
        weights = weights.to(self.tensors.probability)
        if unit == "user":
            return replace(self, present=weights if self.present is None else self.present * weights)
        # A tombstone, of probability 0, counts as the last one does, whatever that is.
        of_arcs = weights[torch.from_numpy(self._ties[1])] if len(units) else weights.new_zeros(self.graph.num_arcs)
        return replace(self, kept=of_arcs if self.kept is None else self.kept * of_arcs)

    def digest(self) -> str:
        """A digest (hex) of graph, seed sets, labels and weights."""
        graph, labels = self.graph, self.labels
        arcs = (graph.nodes.keys, graph.in_ptr, graph.source, graph.probability, graph.alive)
        return digest(arcs, vars(labels), self.kept, self.present)
