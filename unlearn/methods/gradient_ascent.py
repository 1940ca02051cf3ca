"""Gradient ascent: the plainest way to make a model worse at what it should forget."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import register
from unlearn.methods.gradient import Forgotten, GradientMethod, Update, descend
from unlearn.params import Params, differentiate
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class GradientAscent(GradientMethod):
    """Up the forgotten records' mean loss, with nothing to hold on to the others.

    Golatkar, Achille and Soatto, "Eternal sunshine of the spotless net: selective forgetting in deep networks", 2020,
    arXiv 1911.04933 (its baseline "negative gradient").

        x <- x + lr Opt(g_F / n_F)

    with g_F the summed gradient of the forgotten records' losses, on the graph they were part of. Nothing bounds it:
    it must be stopped. `calibrate` does so at the first step where the forgotten records' mean loss, on the remaining
    graph, is at least that value: give it the mean loss of held-out records. The premise is that the request is as good
    as random; and a deleted user's or item's row is cleared at the start, so that there is nothing left to ascend.

    Memory: three vectors of the parameters' size, five with Adam.

    Args:
        lr: rate; loss landscapes differ, so there is no rate for every model.
        calibrate: mean loss of held-out records, by the same loss, or None for exactly `steps` steps.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** steps are full-batch on the mean loss; `calibrate` is ours. Rate and number of steps
    are those of the published baselines.
    """

    steps: int = 5
    lr: float = 1e-4
    update: Update = "sgd"
    calibrate: float | None = None

    name = "gradient_ascent"

    def __post_init__(self) -> None:
        require(
            self,
            steps=("a positive integer", self.steps >= 1),
            lr=("positive", self.lr > 0),
        )

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        records = problem.records(forget)
        seen = None if self.calibrate is None else Forgotten.of(problem, forget)

        def uphill(_: int, params: Params) -> Tensor | None:
            if seen is not None and self.calibrate is not None and seen.mean_loss(params) >= self.calibrate:
                return None
            gradient = differentiate(lambda leaves: problem.record_losses(leaves, records).sum(), params)[1]
            return gradient.div_(-max(records.numel(), 1))

        start = remaining.settled(forget)
        return descend(start, uphill, steps=self.steps, lr=self.lr, update=self.update, mask=mask)
