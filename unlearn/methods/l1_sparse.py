"""Sparse fine-tuning: small parameters hold what few records need, so they go first."""

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
class L1Sparse(GradientMethod):
    """Fine-tuning on what remains under an L1 penalty that fades to nothing.

    Jia et al., "Model sparsity can simplify machine unlearning", 2023, arXiv 2304.04934.

        minimise  L_R / n_R + gamma_k |x|_1,     gamma_k = gamma (1 - k / steps) at step k = 0, 1, ...

    with L_R the remaining objective, by Adam, with the sign of x for the derivative of |x| (0 at 0). `gamma=0` is
    `fine_tune`. Memory: six vectors of the parameters' size.

    The default gamma is the released one, for image classifiers. On LightGCN's table under `whole_data` (LastFM, one
    seed) it led further from a warm retrain than doing nothing.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** full-batch Adam steps instead of stochastic ones with momentum; L_R has the
    objective's own background and penalty.
    """

    gamma: float = 1e-3
    steps: int = 10
    lr: float = 1e-2

    name = "l1_sparse"

    def __post_init__(self) -> None:
        require(
            self,
            gamma=("at least 0", self.gamma >= 0),
            steps=("a positive integer", self.steps >= 1),
            lr=("positive", self.lr > 0),
        )

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        gamma = self.gamma * max(remaining.n_records, 1)  # the objective is a sum, so its penalty grows with it

        def downhill(k: int, params: Params) -> Tensor:
            gradient = flatten(remaining.value_and_gradient(params)[1])
            return gradient.add_(flatten(params).sign_(), alpha=gamma * (1 - k / self.steps))

        return descend(remaining.settled(forget), downhill, steps=self.steps, lr=self.lr, mask=mask)
