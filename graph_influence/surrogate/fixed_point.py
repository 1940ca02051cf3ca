"""The fixed point of an iteration, with gradients that need no memory of how it was reached."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_CLOSE = 1e-12
_MOST = 10_000  # at criticality convergence is slower than geometric; this many rounds leave an error of about 1e-4


def fixed_point(step: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """z with z = step(z), from a start, until no entry moves by more than 1e-12, or for 10,000 rounds.

    What `step` reads beside z gets gradients by the implicit function theorem: with J the Jacobian of `step` at z, a
    gradient g becomes the solution of h = g + J' h, found by the same kind of iteration, and is passed through one
    step (Bai, Kolter and Koltun, "Deep equilibrium models", 2019, arXiv 1909.01377).
    """
    with torch.no_grad():
        z = _settled(step, start.detach())
    if not torch.is_grad_enabled():
        return z
    reached = step(z)
    if reached.requires_grad:
        inner = z.clone().requires_grad_()
        once = step(inner)

        def adjoint(gradient: Tensor) -> Tensor:
            def turn(h: Tensor) -> Tensor:
                return gradient + torch.autograd.grad(once, inner, h, retain_graph=True)[0]

            return _settled(turn, gradient)

        reached.register_hook(adjoint)
    return reached


def _settled(turn: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    for _ in range(_MOST):
        before, z = z, turn(z)
        if (z - before).abs().max() <= _CLOSE:
            break
    return z
