"""Training on: a few more epochs on what remains."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import register
from unlearn.methods.gradient import GradientMethod, descend
from unlearn.params import Params, flatten
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class FineTune(GradientMethod):
    """`epochs` full-batch Adam steps of rate `lr` on the remaining objective, from the old parameters.

    It relies on the model losing what nothing reminds it of. An epoch is one step, because a problem has one
    deterministic objective; a stochastic trainer would take one step a batch. Memory: five vectors of the parameters'
    size.

    Raises:
        ValueError: `epochs` or `lr` is not positive.
    """

    epochs: int = 10
    lr: float = 1e-2

    name = "fine_tune"

    def __post_init__(self) -> None:
        require(self, epochs=("a positive integer", self.epochs >= 1), lr=("positive", self.lr > 0))

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        def downhill(_: int, params: Params) -> Tensor:
            return flatten(remaining.value_and_gradient(params)[1])

        return descend(remaining.settled(forget), downhill, steps=self.epochs, lr=self.lr, mask=mask)
