"""The bipartite interaction graph and its symmetrically normalised propagation.

A = D^-1/2 [[0, R], [R^T, 0]] D^-1/2 over n_users + n_items nodes, users first. Both directions are built from the
same interactions, so A is symmetric by construction; a node without edges has a zero row, never an infinite one.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.data.interactions import Interactions
from unlearn.units import Unit

with warnings.catch_warnings():  # torch announces once a process that CSR tensors are in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([1.0]), size=(1, 1))

FLOOR = 1e-6  # under degrees of weighted edges: a node whose edges all fade keeps finite derivatives


def csr(crow: Tensor, col: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """A torch CSR tensor whose invariants hold by construction."""
    return torch.sparse_csr_tensor(crow, col, values, size=size, check_invariants=False)


@dataclass(frozen=True, eq=False)
class BipartiteGraph:
    """Interactions as tensors, with the arc value of each in both directions.

    `rows`, `cols` [e] are the user and item rows of the interactions in canonical order; `crow` [n_users + 1] their
    row pointer; `order` [e] sorts them by item; `item_crow` [n_items + 1] points into that order. `values` [e] are
    the normalised arc values 1 / sqrt(deg u deg i). `weights` [e], where given, multiply loss and arc alike and have
    entered the degrees (see `weighted`). `user_keys`, `item_keys` name the nodes to the random streams.

    A subclass may hold further edges, whose arc values follow those of the interactions.
    """

    n_users: int
    n_items: int
    rows: Tensor
    cols: Tensor
    crow: Tensor
    item_crow: Tensor
    order: Tensor
    values: Tensor
    user_keys: np.ndarray[Any, np.dtype[np.uint64]]
    item_keys: np.ndarray[Any, np.dtype[np.uint64]]
    weights: Tensor | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_users} users, {self.n_items} items, {self.n_edges} interactions)"

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self  # nothing changes it, and torch copies no CSR tensor

    @classmethod
    def from_interactions(
        cls, data: Interactions, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> BipartiteGraph:
        """Of all interactions, each of weight 1; users and items without any keep their rows."""
        pattern = sparse.csr_array(
            (np.arange(len(data)), data.indices, data.indptr), shape=(data.n_users, data.n_items)
        ).tocsc()
        rows = data.user_rows()
        users, items = (1.0 / np.sqrt(np.maximum(degrees, 1)) for degrees in data.degrees())
        values = users[rows] * items[data.indices]

        def tensor(array: Any, kind: torch.dtype = torch.int64) -> Tensor:
            return torch.as_tensor(array, dtype=kind, device=device)

        return cls(
            n_users=data.n_users,
            n_items=data.n_items,
            rows=tensor(rows),
            cols=tensor(data.indices),
            crow=tensor(data.indptr),
            item_crow=tensor(pattern.indptr),
            order=tensor(pattern.data),
            values=tensor(values, dtype),
            user_keys=data.users.keys,
            item_keys=data.items.keys,
        )

    def to(self, device: torch.device | str) -> Self:
        """The same graph with its tensors on that device."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: one.to(device) for name, one in held.items() if isinstance(one, Tensor)})

    @property
    def n_nodes(self) -> int:
        return self.n_users + self.n_items

    @property
    def n_edges(self) -> int:
        return self.rows.numel()

    def degrees(self) -> Tensor:
        """What the normalisation divides each node by [n_nodes], of the edges as they are without weights."""
        return torch.cat([self.crow.diff(), self.item_crow.diff()]).double()

    def interactions(self, chosen: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """User rows [r], item rows [r] and weights [r], if there are any, of the chosen interactions (all if None)."""
        if chosen is None:
            return self.rows, self.cols, self.weights
        return self.rows[chosen], self.cols[chosen], None if self.weights is None else self.weights[chosen]

    @property
    def weighting(self) -> tuple[Tensor | None, ...]:
        """The weights that edges were given, None where they were given none."""
        return (self.weights,)

    @property
    def is_weighted(self) -> bool:
        """Whether any of its edges counts something else than 1."""
        return any(weights is not None for weights in self.weighting)

    @property
    def sizes(self) -> dict[Unit, int]:
        """What its edges can be weighted by, and how many of each there are."""
        return {"interaction": self.n_edges, "user": self.n_users, "item": self.n_items}

    def weighted_by(self, unit: Unit, weights: Tensor, *, degrees: bool = True) -> Self:
        """The graph in which every unit counts as much as its weight [sizes[unit]] in [0, 1], see `weighted`."""
        if unit != "interaction":
            weights = weights[self.rows if unit == "user" else self.cols]
        return self.weighted(weights, degrees=degrees)

    def weighted(self, weights: Tensor, *, degrees: bool = True) -> Self:
        """The graph whose edge e counts `weights[e]` in [0, 1] of what it counts here; differentiable in the weights,
        degrees included.

        Degrees below `FLOOR` are raised to it. Without `degrees` they count as constants in the derivative.
        """
        if self.weights is not None:
            weights = weights * self.weights
        users = weights.new_zeros(self.n_users).index_add(0, self.rows, weights).clamp_min(FLOOR)
        items = weights.new_zeros(self.n_items).index_add(0, self.cols, weights).clamp_min(FLOOR)
        if not degrees:
            users, items = users.detach(), items.detach()
        values = weights * users[self.rows].rsqrt() * items[self.cols].rsqrt()
        return replace(self, values=values, weights=weights)

    def carried(self, remaining: BipartiteGraph, gone: Tensor) -> BipartiteGraph:
        """The graph that the interactions `gone` [k] have left, with the weights that the others have here."""
        return remaining if self.weights is None else remaining.weighted(_rest(self.weights, gone))

    @cached_property
    def _rows_by_item(self) -> Tensor:
        return self.rows.index_select(0, self.order)

    def interaction_matrix(self, values: Tensor) -> Tensor:
        """Sparse [n_users, n_items] with `values` [e] on the interactions."""
        return csr(self.crow, self.cols, values, (self.n_users, self.n_items))

    def transposed_matrix(self, values: Tensor) -> Tensor:
        """Sparse [n_items, n_users]: the transpose of `interaction_matrix(values)`."""
        return csr(self.item_crow, self._rows_by_item, values.index_select(0, self.order), (self.n_items, self.n_users))

    def rows_of_users(self, users: Tensor, values: Tensor) -> Tensor:
        """Sparse [k, n_items]: those rows [k] of `interaction_matrix(values)`, at the price of their interactions."""
        crow, at = _entries(self.crow, users)
        return csr(crow, self.cols[at], values[at], (len(users), self.n_items))

    def rows_of_items(self, items: Tensor, values: Tensor) -> Tensor:
        """Sparse [k, n_users]: those rows [k] of `transposed_matrix(values)`, at the price of their interactions."""
        crow, at = _entries(self.item_crow, items)
        at = self.order[at]
        return csr(crow, self.rows[at], values[at], (len(items), self.n_users))

    @cached_property
    def _symmetric_pattern(self) -> tuple[Tensor, Tensor]:
        crow = torch.cat([self.crow, self.item_crow[1:] + self.n_edges])
        return crow, torch.cat([self.cols + self.n_users, self._rows_by_item])

    def symmetric_matrix(self, values: Tensor) -> Tensor:
        """Sparse symmetric [n_nodes, n_nodes] with `values` [e] on both directions of every interaction."""
        both = torch.cat([values, values.index_select(0, self.order)])
        return csr(*self._symmetric_pattern, both, (self.n_nodes, self.n_nodes))

    def adjacency(self, values: Tensor) -> Tensor:
        """Sparse symmetric [n_nodes, n_nodes] with `values` on both directions of every edge."""
        return self.symmetric_matrix(values)

    @property
    def forgotten_items(self) -> Tensor:
        """Item rows [k] that no longer stand for anything and must not compete with the others."""
        return torch.from_numpy(np.flatnonzero(self.item_keys == 0)).to(self.rows.device)

    @property
    def forgotten_nodes(self) -> Tensor:
        """Rows [k] of the table that no longer stand for anybody or anything."""
        gone = np.concatenate([self.user_keys == 0, self.item_keys == 0])
        return torch.from_numpy(np.flatnonzero(gone)).to(self.rows.device)

    @cached_property
    def normalized(self) -> Tensor:
        """The adjacency with the graph's own arc values, detached; built once."""
        return self.adjacency(self.values.detach())

    def edge_products(self, users: Tensor, items: Tensor) -> Tensor:
        """Dot products [e] of the two ends of every interaction, for users [n_users, d] and items [n_items, d]."""
        pattern = self.interaction_matrix(users.new_zeros(self.n_edges))
        return torch.sparse.sampled_addmm(pattern, users, items.T, beta=0.0).values()

    def arc_products(self, a: Tensor, b: Tensor) -> Tensor:
        """For every edge, with ends s and t: a_s . b_t + a_t . b_s, for a, b [n_nodes, d]; in the order of `values`."""
        n = self.n_users
        return self.edge_products(a[:n], b[n:]) + self.edge_products(b[:n], a[n:])

    def scores(self, users: Tensor, items: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Dot products [r] of the ends of the chosen interactions (all if None); differentiable any number of times.

        All of them come, with all derivatives, from products that hold no row for each interaction, as gathering does.
        """
        if chosen is not None:
            return (users[self.rows[chosen]] * items[self.cols[chosen]]).sum(1)
        final = torch.cat([users, items])
        return 0.5 * _ArcProducts.apply(final, final, self)[: self.n_edges]  # pyright: ignore

    def propagate(self, x: Tensor) -> Tensor:
        """A x for x [n_nodes, d]; differentiable in x and in the arc values, any number of times."""
        return _Propagate.apply(x, self.values, self)  # pyright: ignore[reportUnknownVariableType, reportReturnType]


def _rest(values: Tensor, gone: Tensor) -> Tensor:
    """The values [e] without those at the places `gone`."""
    stays = torch.ones(len(values), dtype=torch.bool, device=values.device)
    return values[stays.index_fill(0, gone, False)]


def _entries(crow: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Row pointer [k + 1] of those CSR rows [k] by themselves, and where their entries are."""
    counts = crow.diff()[rows]
    own = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return own, torch.arange(int(own[-1]), device=rows.device) + (crow[rows] - own[:-1]).repeat_interleave(counts)


def _multiply(graph: BipartiteGraph, values: Tensor, x: Tensor) -> Tensor:
    return (graph.normalized if values is graph.values else graph.adjacency(values)) @ x


# The two functions below are each other's derivatives, so differentiation never leaves the pair.


class _Propagate(torch.autograd.Function):
    """(x, values) -> A(values) x."""

    generate_vmap_rule = False

    @staticmethod
    def forward(x: Tensor, values: Tensor, graph: BipartiteGraph) -> Tensor:
        return _multiply(graph, values, x.contiguous())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, BipartiteGraph], output: Tensor) -> None:
        x, values, graph = inputs
        ctx.graph = graph
        ctx.save_for_backward(x, values)
        ctx.save_for_forward(x, values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (g,) = grads
        x, values = ctx.saved_tensors
        need_x, need_values, _ = ctx.needs_input_grad
        values = ctx.graph.values if values.data_ptr() == ctx.graph.values.data_ptr() else values
        return (
            _Propagate.apply(g, values, ctx.graph) if need_x else None,  # pyright: ignore
            _ArcProducts.apply(g, x, ctx.graph) if need_values else None,  # pyright: ignore
            None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        dx, dvalues, _ = tangents
        x, values = ctx.saved_tensors
        out = _multiply(ctx.graph, values, dx) if dx is not None else torch.zeros_like(x)
        return out + _multiply(ctx.graph, dvalues, x) if dvalues is not None else out


class _ArcProducts(torch.autograd.Function):
    """(a, b) -> `BipartiteGraph.arc_products`."""

    generate_vmap_rule = False

    @staticmethod
    def forward(a: Tensor, b: Tensor, graph: BipartiteGraph) -> Tensor:
        return graph.arc_products(a.contiguous(), b.contiguous())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, BipartiteGraph], output: Tensor) -> None:
        a, b, graph = inputs
        ctx.graph = graph
        ctx.save_for_backward(a, b)
        ctx.save_for_forward(a, b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (g,) = grads
        a, b = ctx.saved_tensors
        need_a, need_b, _ = ctx.needs_input_grad
        return (
            _Propagate.apply(b, g, ctx.graph) if need_a else None,  # pyright: ignore
            _Propagate.apply(a, g, ctx.graph) if need_b else None,  # pyright: ignore
            None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        da, db, _ = tangents
        a, b = ctx.saved_tensors
        forward = _ArcProducts.forward
        out = a.new_zeros(len(ctx.graph.values))
        if da is not None:
            out = out + forward(da, b, ctx.graph)
        return out + forward(a, db, ctx.graph) if db is not None else out
