"""Functions to minimise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def derivatives(
    function: Function,
) -> tuple[Callable[[Tensor], tuple[float, Tensor]], Callable[[Tensor, Tensor], Tensor]]:
    """Value with gradient, and Hessian products, by automatic differentiation."""

    def value_and_gradient(x: Tensor) -> tuple[float, Tensor]:
        x = x.detach().requires_grad_()
        value = function(x)
        return float(value.detach()), torch.autograd.grad(value, x)[0]

    def product(x: Tensor, v: Tensor) -> Tensor:
        return torch.autograd.functional.hvp(function, x, v)[1]

    return value_and_gradient, product


def factorisation(rank: int, width: int) -> tuple[Function, Tensor]:
    """1/2 |A B^T - T|^2 + 0.05 (|A|^2 + |B|^2): invariant under rotations of the width, a saddle at zero."""
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randn(n, rank, dtype=torch.float64, generator=generator) for n in (9, 7))
    target = left @ right.T

    def function(x: Tensor) -> Tensor:
        a, b = x.view(16, width).split([9, 7])
        return 0.5 * (a @ b.T - target).square().sum() + 0.05 * x.square().sum()

    return function, target
