"""Products with a Jacobian from either side, by reverse mode alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Jacobian:
    """J = df/dx [m, p] of a function f of a vector at x [p], whose graph is kept for any number of products.

    `push` differentiates w -> J^T w, which is linear in w, once more. Unlike forward mode this needs nothing that
    double backward does not, and J v can itself be differentiated in v.

    `value` is f(x) in its own shape; m counts its entries. Memory: the graph of f and that of its derivative.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
        self._x = x.detach().requires_grad_()
        self._out = function(self._x)
        self._weights = torch.zeros_like(self._out).requires_grad_()
        (self._transposed,) = torch.autograd.grad(self._out, self._x, self._weights, create_graph=True)

    @property
    def value(self) -> Tensor:
        return self._out.detach()

    def push(self, vector: Tensor) -> Tensor:
        """J v in the shape of `value`, for v [p]; differentiable in v."""
        return torch.autograd.grad(
            self._transposed, self._weights, vector, retain_graph=True, create_graph=vector.requires_grad
        )[0]

    def pull(self, weights: Tensor) -> Tensor:
        """J^T w [p], for w in the shape of `value`."""
        return torch.autograd.grad(self._out, self._x, weights, retain_graph=True)[0]
