"""Sums over the arcs into each node as products with a sparse matrix, differentiable any number of times."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graph_influence.surrogate.tensors import TensorGraph

with warnings.catch_warnings():  # torch announces once a process that CSR tensors are in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([1.0]), size=(1, 1))


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where a square matrix has entries: entry e in row `rows[e]`, column `cols[e]`.

    Shapes:
        rows, cols, order, place int64 [m]: `order` sorts the entries by row, `place` is where each then stands; crow
        int64 [n + 1]: where each row begins in it; ccol int64 [m]: `cols` in it.
    """

    rows: Tensor
    cols: Tensor
    order: Tensor
    place: Tensor
    crow: Tensor
    ccol: Tensor

    @classmethod
    def of(cls, rows: Tensor, cols: Tensor, n: int) -> Pattern:
        """The pattern of n rows and columns with these entries."""
        order = torch.argsort(rows, stable=True)
        crow = torch.nn.functional.pad(torch.bincount(rows, minlength=n).cumsum(0), (1, 0))
        place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        return cls(rows, cols, order, place, crow, cols[order])

    def matrix(self, values: Tensor) -> Tensor:
        """The sparse matrix [n, n] with `values` [m] at its entries."""
        return self._of(values[self.order])

    def sampled(self, above: Tensor, below: Tensor) -> Tensor:
        """The entries [m] of Y X', of Y and X [n, k]."""
        # One pass over the entries, where to gather rows of both would write 2 m k numbers.
        found = torch.sparse.sampled_addmm(self._of(above.new_zeros(len(self.rows))), above, below.T, beta=0.0)
        return found.values()[self.place]

    def _of(self, sorted_values: Tensor) -> Tensor:
        n = len(self.crow) - 1
        return torch.sparse_csr_tensor(self.crow, self.ccol, sorted_values, size=(n, n), check_invariants=False)


@dataclass(frozen=True, eq=False)
class Propagation:
    """Along the arcs of b copies of a graph, side by side: entry (b, v, u) of a pattern for arc u -> v of copy b."""

    forward: Pattern
    backward: Pattern

    @classmethod
    def of(cls, graph: TensorGraph, copies: int) -> Propagation:
        """Of so many copies of a graph, whose rows follow each other."""
        n = graph.num_nodes
        first = torch.arange(copies, device=graph.source.device)[:, None] * n
        source, target = ((first + ends).reshape(-1) for ends in (graph.source, graph.target))
        return cls(Pattern.of(target, source, copies * n), Pattern.of(source, target, copies * n))

    def __call__(self, weights: Tensor, features: Tensor) -> Tensor:
        """At each node the sum over its in-arcs of their weight times the features of their source.

        [copies * n, k], of weights [copies * m] and features [copies * n, k].
        """
        found = _Product.apply(weights, features, self)
        assert isinstance(found, Tensor)
        return found

    def turned(self) -> Propagation:
        """Against the arcs."""
        return Propagation(self.backward, self.forward)


class _Product(torch.autograd.Function):
    """A(w) X, bilinear in w and X, so that each derivative is of its own kind or of that of `_Sampled`."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, features: Tensor, along: Propagation) -> Tensor:
        ctx.save_for_backward(weights, features)
        ctx.save_for_forward(weights, features)
        ctx.along = along
        return along.forward.matrix(weights) @ features

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weights, features = ctx.saved_tensors
        along, (gradient,) = ctx.along, gradients
        to_weights = _Sampled.apply(gradient, features, along) if ctx.needs_input_grad[0] else None
        to_features = along.turned()(weights, gradient) if ctx.needs_input_grad[1] else None
        return to_weights, to_features, None  # pyright: ignore[reportReturnType]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        weights, features = ctx.saved_tensors
        by_weights, by_features, _ = tangents
        found = torch.zeros_like(features)
        if by_weights is not None:
            found = found + ctx.along(by_weights, features)
        return found if by_features is None else found + ctx.along(weights, by_features)


class _Sampled(torch.autograd.Function):
    """At each arc the scalar product of Y at its target and X at its source: (Y X') where A has entries."""

    @staticmethod
    def forward(ctx: Any, above: Tensor, below: Tensor, along: Propagation) -> Tensor:
        ctx.save_for_backward(above, below)
        ctx.along = along
        return along.forward.sampled(above, below)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        above, below = ctx.saved_tensors
        along, (gradient,) = ctx.along, gradients
        return along(gradient, below), along.turned()(gradient, above), None
