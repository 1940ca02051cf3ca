"""Incremental approximate unlearning: learn the forgotten records negated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import register
from unlearn.methods.fisher import squared_gradients
from unlearn.methods.gradient import Forgotten, GradientMethod, descend
from unlearn.params import Params, as_table, differentiate, flatten
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class IAU(GradientMethod):
    """One or more steps up the forgotten records' loss and down the others'.

    "Efficient Machine Unlearning via Influence Approximation", 2025, arXiv 2507.23257.

        x <- x - lr Opt(c r g_R - g_F),   r = lr_retain / lr

    with g_R the gradient of the remaining objective over n_R, on the remaining graph, and g_F the summed gradient of
    the forgotten records' losses over n_F (`scale="mean"`) or over n_R (`"sum"`, what influence theory asks for), on
    the graph they were part of. Both are taken anew at every step. Opt is the sign, the identity, Adam, or a division
    by the diagonal Fisher of the remaining records,

        d / (I_R + damping mean(I_R)),   I_R = mean over remaining records of the squares of their own derivatives,

    the diagonal stand-in for the inverse Hessian of influence theory: with `scale="sum"` it moves further the more
    there is to forget. It knows the losses of records alone, not background or penalty; under `whole_data` on
    LastFM a rate of 0.1 for both terms diverged.

    The defaults are the published form: one sign step of 1e-3 (a fresh Adam's first step is a sign step). It moves
    every coordinate by `lr` whatever is deleted, so its strength is a matter of `lr` alone and differs from model to
    model. The calibrated form sets the strength by what it is to reach:
    `IAU(lr=0.02, steps=100, calibrate=mean held-out loss)` takes steps until the forgotten records' mean loss on the
    remaining graph, as the model is served, is at least that of records never seen, and at most `steps`. Its premise is
    that the request is as good as random: records forgotten because they are unusual have another target, and of a
    deleted user or item, whose row is cleared first, nothing is left to raise.

    In a stream every request begins where the last one ended, and g_R is of what remains after all of them: that holds
    a classifier together, and factors under `whole_data`, where the ascents alone add up; under `bpr` the correction
    was seen to cost the remaining records some of their rank instead. Memory: six vectors of the parameters' size.

    Args:
        gc_weight: c, the weight of the gradient correction; 0 is plain ascent. One request hardly shows it, a stream
            of requests drifts away without it.
        lr_retain: rate of the remaining objective; `lr` if None. Required with `scale="sum"`, where it is of the order
            of the training rate and never that of the forget term.
        damping: of the Fisher form, as a share of the diagonal's mean.
        rows: "touched" moves only the rows that the forgotten data reaches (one hop for a recommender).
        calibrate: mean loss of held-out records, by the same loss, or None for exactly `steps` steps.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** g_R includes the objective's background and penalty where there are any, because
    without them the loss of observed pairs alone has no useful minimum; gradients of both sets are exact, not
    accumulated over batches; requests compose, so that g_R never sees what an earlier request removed; several steps,
    scales, rows, the Fisher form and calibration are ours. The gradient restriction is a training hook,
    `hooks.gradient_restriction`.
    """

    update: Literal["sign", "sgd", "adam", "fisher"] = "sign"
    scale: Literal["mean", "sum"] = "mean"
    gc_weight: float = 1.0
    lr: float = 1e-3
    lr_retain: float | None = None
    steps: int = 1
    damping: float = 0.1
    rows: Literal["all", "touched"] = "all"
    calibrate: float | None = None

    name = "iau"

    def __post_init__(self) -> None:
        published = self.scale != "sum" or self.gc_weight == 0
        require(
            self,
            gc_weight=("at least 0", self.gc_weight >= 0),
            lr=("positive", self.lr > 0),
            lr_retain=(
                'given and positive with scale="sum", where the training rate is a good guess, positive or None else',
                published if self.lr_retain is None else self.lr_retain > 0,
            ),
            steps=("a positive integer", self.steps >= 1),
            damping=("positive", self.damping > 0),
        )

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        records = problem.records(forget)
        n_forgotten, n_remaining = max(records.numel(), 1), max(remaining.n_records, 1)
        divisor = n_forgotten if self.scale == "mean" else n_remaining
        correction = self.gc_weight * (1.0 if self.lr_retain is None else self.lr_retain / self.lr) / n_remaining
        forgotten, chosen = problem.apart(forget)
        seen = None if self.calibrate is None else Forgotten.of(problem, forget)
        start = remaining.settled(forget)
        curvature = self._curvature(remaining, start) if self.update == "fisher" else None

        def against(_: int, params: Params) -> Tensor | None:
            if seen is not None and self.calibrate is not None and seen.mean_loss(params) >= self.calibrate:
                return None
            gradient = differentiate(lambda leaves: forgotten.record_losses(leaves, chosen).sum(), params)[1]
            direction = gradient.div_(-divisor)
            if correction:
                direction.add_(flatten(remaining.value_and_gradient(params)[1]), alpha=correction)
            return direction if curvature is None else direction.div_(curvature)

        if self.rows == "touched":
            touched = _touched(problem, forget)
            mask = touched if mask is None else mask * touched
        update = "sgd" if self.update == "fisher" else self.update
        return descend(start, against, steps=self.steps, lr=self.lr, update=update, mask=mask)

    def _curvature(self, remaining: Problem, params: Params) -> Tensor:
        """The damped diagonal Fisher [p]."""
        every = torch.arange(remaining.n_records)
        diagonal = squared_gradients(remaining, params, every).div_(max(remaining.n_records, 1))
        diagonal.add_(self.damping * float(diagonal.double().mean()))
        return diagonal.clamp_min_(torch.finfo(diagonal.dtype).tiny)  # where nothing has a gradient, nothing moves


def _touched(problem: Problem, forget: ForgetSet) -> Tensor:
    """A 0/1 vector [p] of what the forgotten data reaches within one hop."""
    touched = problem.touched(forget, hops=1)
    masks: Params = {}
    for name, value in problem.params.items():
        mask = torch.zeros_like(value)
        for rows in touched.get(name, ()):
            as_table(mask)[rows] = 1.0
        masks[name] = mask
    return flatten(masks)
