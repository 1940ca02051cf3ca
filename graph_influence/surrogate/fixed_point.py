"""The fixed point of an iteration, with gradients that need no memory of how it was reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_CLOSE = 1e-12
_MOST = 10_000  # at criticality convergence is slower than geometric; so many rounds leave an error of about 1e-4

Step = Callable[..., Tensor]


def fixed_point(step: Step, start: Tensor, *read: Tensor) -> Tensor:
    """z with z = step(z, *read), from a start, until no entry moves by more than 1e-12, or for 10,000 rounds.

    What is `read` gets gradients by the implicit function theorem: with J the Jacobian of `step` in z, a gradient g
    becomes the solution of h = g + J' h, found by the same kind of iteration, and is passed through one step (Bai,
    Kolter and Koltun, "Deep equilibrium models", 2019, arXiv 1909.01377). That solution is a fixed point itself, of
    what g, z and `read` say, so that derivatives of any order are right. `step` must read no other tensor that is to
    have a gradient, and nothing that may have changed until gradients are asked for.
    """
    z = _FixedPoint.apply(step, start, *read)
    assert isinstance(z, Tensor)
    return z


class _FixedPoint(torch.autograd.Function):
    """See `fixed_point`."""

    @staticmethod
    def forward(ctx: Any, step: Step, start: Tensor, *read: Tensor) -> Tensor:
        z = _settled(lambda z: step(z, *read), start)
        ctx.step = step
        ctx.save_for_backward(z, *read)
        return z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        step, (gradient,), (z, *read) = ctx.step, gradients, ctx.saved_tensors
        higher = torch.is_grad_enabled()
        with torch.enable_grad():
            # By other names, by which derivatives are partial ones: z depends on what is read.
            at, *of = (one.view_as(one) for one in (z, *read))
            once = step(at, *of)

        def back(h: Tensor) -> Tensor:
            return gradient + _product(once, at, h)

        with torch.no_grad():
            h = _settled(back, gradient)
        if higher:
            h = fixed_point(_adjoint(step), h, gradient, z, *read)
        asked = [one for one, needed in zip(of, ctx.needs_input_grad[2:], strict=True) if needed]
        found = iter(torch.autograd.grad(once, asked, h, create_graph=higher, allow_unused=True))
        return None, None, *(next(found) if needed else None for needed in ctx.needs_input_grad[2:])


def _adjoint(step: Step) -> Step:
    """What h is a fixed point of: g + J' h, of all that it reads."""

    def turn(h: Tensor, gradient: Tensor, z: Tensor, *read: Tensor) -> Tensor:
        with torch.enable_grad():
            at = z.view_as(z)
            once = step(at, *read)
        return gradient + _product(once, at, h)

    return turn


def _product(once: Tensor, at: Tensor, h: Tensor) -> Tensor:
    """J' h, with J the Jacobian of `once` in `at`; differentiable where gradients are on."""
    higher = torch.is_grad_enabled()
    return torch.autograd.grad(once, at, h, retain_graph=True, create_graph=higher, materialize_grads=True)[0]


def _settled(turn: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    for _ in range(_MOST):
        before, z = z, turn(z)
        if torch.allclose(z, before, rtol=0.0, atol=_CLOSE):
            break
    return z
