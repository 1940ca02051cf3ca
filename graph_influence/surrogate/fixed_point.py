"""The fixed point of an iteration, with gradients that need no memory of how it was reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_CLOSE = 1e-12
_MOST = 10_000  # at criticality convergence is slower than geometric; so many rounds leave an error of about 1e-4

Turn = Callable[[Tensor], Tensor]


def fixed_point(step: Turn, start: Tensor) -> Tensor:
    """z with z = step(z), from a start, until no entry moves by more than 1e-12, or for 10,000 rounds.

    What `step` reads beside z gets gradients by the implicit function theorem: with J the Jacobian of `step` at z, a
    gradient g becomes the solution of h = g + J' h, found by the same kind of iteration, and is passed through one
    step (Bai, Kolter and Koltun, "Deep equilibrium models", 2019, arXiv 1909.01377).
    """
    with torch.no_grad():
        z = _settled(step, start.detach())
    reached = step(z)
    if not reached.requires_grad:
        return reached
    inner = z.clone().requires_grad_()
    once = step(inner)

    def adjoint(gradient: Tensor) -> Tensor:
        def turn(h: Tensor) -> Tensor:
            return gradient + torch.autograd.grad(once, inner, h, retain_graph=True)[0]

        return _settled(turn, gradient)

    passed = _Adjoint.apply(reached, adjoint)
    assert isinstance(passed, Tensor)
    return passed


class _Adjoint(torch.autograd.Function):
    """The identity, whose gradients are changed on their way back."""

    @staticmethod
    def forward(ctx: Any, reached: Tensor, adjoint: Turn) -> Tensor:
        ctx.adjoint = adjoint
        return reached.view_as(reached)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.adjoint(gradients[0]), None


def _settled(turn: Turn, z: Tensor) -> Tensor:
    for _ in range(_MOST):
        before, z = z, turn(z)
        if torch.allclose(z, before, rtol=0.0, atol=_CLOSE):
            break
    return z
