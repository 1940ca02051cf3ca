"""Incremental approximate unlearning: learn the forgotten records negated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Params, Problem, flatten, unflatten
from unlearn.solvers.adam import Adam


@register
@dataclass(frozen=True, kw_only=True)
class IAU(Unlearner):
    """One or more steps up the forgotten records' loss and down the others'.

    "Efficient Machine Unlearning via Influence Approximation", 2025, arXiv 2507.23257.

        x <- x - lr Opt(c r g_R - g_F),   r = lr_retain / lr

    with g_R the gradient of the remaining objective over n_R, on the remaining graph, and g_F the summed gradient of
    the forgotten records' losses over n_F (`scale="mean"`) or over n_R (`"sum"`, what influence theory asks for), on
    the graph they were part of. Both are taken anew at every step. Opt is the sign, the identity or Adam.

    The defaults are the published form: one sign step of 1e-3 (a fresh Adam's first step is a sign step). It moves
    every coordinate by `lr` whatever is deleted, so its strength is a matter of `lr` alone and differs from model to
    model. The calibrated form sets the strength by what it is to reach:
    `IAU(lr=0.02, steps=100, calibrate=mean held-out loss)` takes steps until the forgotten records' mean loss is at
    least that of records never seen, and at most `steps`. Its premise is that the request is as good as random: records
    forgotten because they are unusual have another target.

    Args:
        gc_weight: c, the weight of the gradient correction; 0 is plain ascent. One request hardly shows it, a stream
            of requests drifts away without it.
        lr_retain: rate of the remaining objective; `lr` if None. Required with `scale="sum"`, where it is of the order
            of the training rate and never that of the forget term.
        rows: "touched" moves only the rows that the forgotten data reaches (one hop for a recommender).
        calibrate: mean loss of held-out records, by the same loss, or None for exactly `steps` steps.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    Differences from the paper: g_R includes the objective's background and penalty where there are any, because
    without them the loss of observed pairs alone has no useful minimum; gradients of both sets are exact, not
    accumulated over batches; requests compose, so that g_R never sees what an earlier request removed; several steps,
    scales, rows and calibration are ours. The gradient restriction is a training hook, `hooks.gradient_restriction`.
    """

    update: Literal["sign", "sgd", "adam"] = "sign"
    scale: Literal["mean", "sum"] = "mean"
    gc_weight: float = 1.0
    lr: float = 1e-3
    lr_retain: float | None = None
    steps: int = 1
    rows: Literal["all", "touched"] = "all"
    calibrate: float | None = None

    name = "iau"

    def __post_init__(self) -> None:
        requirements = {
            "update": ('"sign", "sgd" or "adam"', self.update in ("sign", "sgd", "adam")),
            "scale": ('"mean" or "sum"', self.scale in ("mean", "sum")),
            "gc_weight": ("at least 0", self.gc_weight >= 0),
            "lr": ("positive", self.lr > 0),
            "lr_retain": ("positive or None", self.lr_retain is None or self.lr_retain > 0),
            "steps": ("a positive integer", self.steps >= 1),
            "rows": ('"all" or "touched"', self.rows in ("all", "touched")),
        }
        problems = [
            f"`{name}` must be {what} for `iau` (got {getattr(self, name)!r})"
            for name, (what, fine) in requirements.items()
            if not fine
        ]
        if self.scale == "sum" and self.lr_retain is None and self.gc_weight > 0:
            problems.append('`lr_retain` must be given for `iau` with scale="sum" (got None); try the training rate')
        if problems:
            raise ValueError("\n".join(problems))

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        records = problem.records(forget)
        n_forgotten, n_remaining = max(records.numel(), 1), max(remaining.n_records, 1)
        divisor = n_forgotten if self.scale == "mean" else n_remaining
        correction = self.gc_weight * (1.0 if self.lr_retain is None else self.lr_retain / self.lr) / n_remaining
        movable = self._movable(problem, forget)
        start = remaining.settled(forget)
        x = flatten(start)
        adam = Adam(x, lr=self.lr)
        for _ in range(self.steps):
            params = unflatten(x, start)
            loss, gradient = _losses(problem, params, records)
            if self.calibrate is not None and loss / n_forgotten >= self.calibrate:
                break
            direction = gradient.div_(-divisor)
            if correction:
                direction.add_(flatten(remaining.value_and_gradient(params)[1]), alpha=correction)
            if movable is not None:
                direction.mul_(movable)
            if self.update == "adam":
                adam.step(x, direction)
            else:
                x.sub_(direction.sign_() if self.update == "sign" else direction, alpha=self.lr)
        # A sign step moves every row, those of the forgotten included.
        after = remaining.with_params(unflatten(x, start))
        return after.with_params(after.settled(forget)), state

    def _movable(self, problem: Problem, forget: ForgetSet) -> Tensor | None:
        """A 0/1 vector [p] of what may move, or None for everything."""
        if self.rows == "all":
            return None
        touched = problem.touched(forget, hops=1)
        masks: Params = {}
        for name, value in problem.params.items():
            mask = torch.zeros_like(value)
            for rows in touched.get(name, ()):
                mask.view(value.shape[0] if value.dim() else 1, -1)[rows] = 1.0
            masks[name] = mask
        return flatten(masks)


def _losses(problem: Problem, params: Params, records: Tensor) -> tuple[float, Tensor]:
    """Summed loss of the records and its gradient [p]."""
    leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
    loss = problem.record_losses(leaves, records).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return float(loss.detach()), flatten(dict(zip(leaves, gradients, strict=True)))
