"""Logarithms of sums over all items, which never hold more than a block of scores, derivatives included."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def log_sum_exp(users: Tensor, items: Tensor, step: int) -> Tensor:
    """log sum_j exp(z_u . z_j) [r] for rows [r, d] and [m, d], `step` rows of scores [step, m] at a time.

    Gradients compute the scores again, and so does the second backward of a Hessian product: what a graph keeps is the
    rows alone. Differentiable in both modes, as often as wanted; memory is bounded up to second derivatives.
    """
    return cast("Tensor", _LogSumExp.apply(users, items, step))  # pyright: ignore[reportUnknownMemberType]


class _LogSumExp(torch.autograd.Function):
    generate_vmap_rule = False

    @staticmethod
    def forward(users: Tensor, items: Tensor, step: int) -> Tensor:
        return torch.cat([torch.logsumexp(part @ items.T, 1) for part in users.split(step)])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        users, items, ctx.step = inputs
        ctx.save_for_backward(users, items)
        ctx.save_for_forward(users, items)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        users, items = ctx.saved_tensors
        of_users, of_items = list[Tensor](), torch.zeros_like(items)
        for part, slopes in zip(users.split(ctx.step), grads[0].split(ctx.step), strict=True):
            kept = checkpoint(_slopes, part, items, slopes, use_reentrant=False, preserve_rng_state=False)
            of_users.append(kept[0])
            of_items = of_items + kept[1]
        return torch.cat(of_users), of_items, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        users, items = ctx.saved_tensors
        d_users, d_items, _ = tangents
        out = list[Tensor]()
        for start in range(0, len(users), ctx.step):
            part = slice(start, start + ctx.step)
            weight = torch.softmax(users[part] @ items.T, 1)
            change = torch.zeros_like(users[part, 0])
            if d_users is not None:
                change = change + (weight @ items * d_users[part]).sum(1)
            if d_items is not None:
                change = change + (weight @ d_items * users[part]).sum(1)
            out.append(change)
        return torch.cat(out)


def _slopes(users: Tensor, items: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """`slopes` [r] times the gradients of the logarithms, by users [r, d] and summed by items [m, d]."""
    weight = torch.softmax(users @ items.T, 1) * slopes.unsqueeze(1)
    return weight @ items, weight.T @ users
