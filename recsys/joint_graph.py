"""Interactions and ties in one graph: users pass messages to the items they had and to the users they are tied to.

A = D^-1/2 [[s T, R], [R^T, 0]] D^-1/2 over n_users + n_items nodes, with T the ties, s the weight of one, and D the
row sums of what stands between: a user's degree is the number of interactions plus s times that of ties.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.ties import joined
from recsys.graph import FLOOR, BipartiteGraph, csr
from unlearn.units import Unit


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class JointGraph(BipartiteGraph):
    """A `BipartiteGraph` with an edge between users who are tied, whichever way.

    `ends` [t, 2] are the user rows that each tie joins, as `Interactions.units("tie")` numbers them. `values` [e + t]
    are the arc values w_ui / sqrt(d_u d_i) of the interactions, then s w_uv / sqrt(d_u d_v) of the ties. `tie_weights`
    [t], where given, have entered arcs and degrees; no loss, for a tie has none. `node_crow`, `node_cols` and `arcs`
    are the pattern of A and which of the values stands where.
    """

    tie_weight: float
    ends: Tensor
    node_crow: Tensor
    node_cols: Tensor
    arcs: Tensor
    tie_weights: Tensor | None = None

    @classmethod
    def of(
        cls,
        data: Interactions,
        tie_weight: float,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Self:
        """The graph of the interactions and of who is tied to whom."""
        graph = BipartiteGraph.from_interactions(data, dtype=torch.float64, device=device)
        ends = joined(data.ties)
        first = np.concatenate([data.user_rows(), ends[:, 0]])
        second = np.concatenate([data.item_rows() + data.n_users, ends[:, 1]])
        nodes = np.concatenate([first, second]), np.concatenate([second, first])
        pattern = sparse.csr_array((np.tile(np.arange(len(first)), 2), nodes), shape=(graph.n_nodes, graph.n_nodes))
        pattern.sort_indices()

        def tensor(array: np.ndarray[Any, Any]) -> Tensor:
            return torch.as_tensor(array, dtype=torch.int64, device=device)

        found = cls(
            **{field.name: getattr(graph, field.name) for field in fields(graph)},
            tie_weight=tie_weight,
            ends=tensor(ends),
            node_crow=tensor(pattern.indptr),
            node_cols=tensor(pattern.indices),
            arcs=tensor(pattern.data),
        )
        ones = graph.values.new_ones
        return replace(found, values=found._normalised(ones(graph.n_edges), ones(len(ends))).to(dtype))

    @property
    def n_ties(self) -> int:
        return len(self.ends)

    def degrees(self) -> Tensor:
        ties = torch.bincount(self.ends.flatten(), minlength=self.n_nodes).double()
        return super().degrees() + self.tie_weight * ties

    def cut_by(self, remaining: JointGraph) -> Tensor:
        """The ends [k, 2] of the ties that the remaining graph, over the same users, no longer has."""
        return self.ends[~self._left_by(remaining)]

    def _left_by(self, remaining: JointGraph) -> Tensor:
        """Mask [t] of the ties that the remaining graph still has."""
        before, after = (ends[:, 0] * self.n_users + ends[:, 1] for ends in (self.ends, remaining.ends))
        return torch.isin(before, after)

    @property
    def weighting(self) -> tuple[Tensor | None, ...]:
        return *super().weighting, self.tie_weights

    @property
    def sizes(self) -> dict[Unit, int]:
        return {**super().sizes, "tie": self.n_ties}

    def weighted_by(self, unit: Unit, weights: Tensor, *, degrees: bool = True) -> Self:
        """See `BipartiteGraph.weighted_by`; a user's weight counts for the ties, too: w_u w_v for that of u and v."""
        if unit == "tie":
            return self.tied(weights, degrees=degrees)
        found = super().weighted_by(unit, weights, degrees=degrees)
        if unit == "user":
            first, second = self.ends.unbind(1)
            return found.tied(weights[first] * weights[second], degrees=degrees)
        return found

    def weighted(self, weights: Tensor, *, degrees: bool = True) -> Self:
        """See `BipartiteGraph.weighted`; ties keep the weights that they have."""
        if self.weights is not None:
            weights = weights * self.weights
        ties = weights.new_ones(self.n_ties) if self.tie_weights is None else self.tie_weights.to(weights)
        values = self._normalised(weights, ties, floor=FLOOR, degrees=degrees)
        return replace(self, values=values, weights=weights, tie_weights=ties)

    def tied(self, weights: Tensor, *, degrees: bool = True) -> Self:
        """The graph whose tie k counts `weights[k]` in [0, 1], as `weighted` has it of interactions, which stay."""
        if self.tie_weights is not None:
            weights = weights * self.tie_weights
        interactions = weights.new_ones(self.n_edges) if self.weights is None else self.weights.to(weights)
        values = self._normalised(interactions, weights, floor=FLOOR, degrees=degrees)
        return replace(self, values=values, tie_weights=weights)

    def carried(self, remaining: BipartiteGraph, gone: Tensor) -> BipartiteGraph:
        found = super().carried(remaining, gone)
        if self.tie_weights is None:
            return found
        assert isinstance(found, JointGraph)
        return found.tied(self.tie_weights[self._left_by(found)])

    def _normalised(self, interactions: Tensor, ties: Tensor, *, floor: float = 0.0, degrees: bool = True) -> Tensor:
        """Arc values [e + t] for weights [e] of interactions and [t] of ties; degrees are raised to the floor."""
        ties = self.tie_weight * ties
        (a, b), n = self.ends.unbind(1), self.n_users
        users = interactions.new_zeros(n).index_add(0, self.rows, interactions)
        users = users.index_add(0, a, ties).index_add(0, b, ties).clamp_min(floor)
        items = interactions.new_zeros(self.n_items).index_add(0, self.cols, interactions).clamp_min(floor)
        if not degrees:
            users, items = users.detach(), items.detach()
        of_interactions = interactions * users[self.rows].rsqrt() * items[self.cols].rsqrt()
        return torch.cat([of_interactions, ties * users[a].rsqrt() * users[b].rsqrt()])

    def adjacency(self, values: Tensor) -> Tensor:
        return csr(self.node_crow, self.node_cols, values[self.arcs], (self.n_nodes, self.n_nodes))

    def arc_products(self, a: Tensor, b: Tensor) -> Tensor:
        first, second = self.ends.unbind(1)
        of_ties = (a[first] * b[second]).sum(1) + (a[second] * b[first]).sum(1)
        return torch.cat([super().arc_products(a, b), of_ties])
