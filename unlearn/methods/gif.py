"""Graph influence function: the influence of what is deleted and of the messages that it took part in."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn.curvature import gauge_projection
from unlearn.forget import ForgetSet
from unlearn.methods.base import register
from unlearn.methods.second_order import OneShot, removed_gradient
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class GIF(OneShot):
    """The influence function with the term of the affected neighbours.

    Wu et al., "GIF: A general graph unlearning strategy via influence function", 2023, arXiv 2304.02835.

        x <- x + (H + damping I)^-1 [ sum_{F + N} dl(z; G) - sum_N dl(z; G_R) ]

    with H the curvature of the whole objective on the old graph G, N the remaining records whose predictions the
    deletion changes, and G_R the remaining graph. Without a graph it is `influence` in its published form. Both
    gradients and H have the same negatives where the objective samples.

    What training left undone cancels in the difference, so a model that was stopped early is not trained on.

    Memory: about ten vectors of the parameters' size and the graph of the objective's gradient.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
        Diverges: solver="lissa" where the curvature is not positive.

    **Differences from the paper:** N is all that remains (beyond the reach of the deletion the difference is 0), the
    term of unobserved pairs and propensities included, where the paper takes 2 or 3 hops; conjugate gradients by
    default, which know their residual, and a series whose scale is known to suffice; embeddings are kept from turning;
    rows that only the forgotten data determined count as gone with their own terms and are cleared.
    """

    name = "gif"

    def step(self, problem: Problem, remaining: Problem, forget: ForgetSet, prior: Tensor | None) -> Tensor:
        b = removed_gradient(problem, remaining, forget)
        operator = self.operator(problem, problem.params, prior)
        return self.solve(operator, b, gauge_projection(problem))[0]
