"""NegGrad+: down the others' loss and up the forgotten records', weighed against each other."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import register
from unlearn.methods.gradient import GradientMethod, Update, descend
from unlearn.params import Params, differentiate, flatten
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class NegGrad(GradientMethod):
    """Fine-tuning on what remains while ascending on what is forgotten.

    Kurmanji, Triantafillou, Hayes and Triantafillou, "Towards unbounded machine unlearning", 2023, arXiv 2302.09880
    (its baseline NegGrad+).

        minimise  beta L_R / n_R - (1 - beta) L_F / n_F

    with L_R the remaining objective on the remaining graph and L_F the forgotten records' summed losses on the graph
    they were part of. `beta=1` is fine-tuning, `beta=0` is gradient ascent.

    Memory: six vectors of the parameters' size.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** full-batch steps; L_R has the objective's background and penalty; beta was tuned
    from case to case there, the default is ours.
    """

    beta: float = 0.95
    steps: int = 10
    lr: float = 1e-2
    update: Update = "adam"

    name = "neg_grad"

    def __post_init__(self) -> None:
        require(
            self,
            beta=("between 0 and 1", 0 <= self.beta <= 1),
            steps=("a positive integer", self.steps >= 1),
            lr=("positive", self.lr > 0),
        )

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        records = problem.records(forget)
        n_forgotten, n_remaining = max(records.numel(), 1), max(remaining.n_records, 1)

        def against(_: int, params: Params) -> Tensor:
            ascent = differentiate(lambda leaves: problem.record_losses(leaves, records).sum(), params)[1]
            descent = flatten(remaining.value_and_gradient(params)[1])
            return descent.mul_(self.beta / n_remaining).sub_(ascent, alpha=(1 - self.beta) / n_forgotten)

        start = remaining.settled(forget)
        return descend(start, against, steps=self.steps, lr=self.lr, update=self.update, mask=mask)
