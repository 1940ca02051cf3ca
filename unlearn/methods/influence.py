"""The influence function as an unlearning method: one linear solve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from unlearn.curvature import gauge_projection
from unlearn.forget import ForgetSet
from unlearn.methods.base import register
from unlearn.methods.second_order import OneShot
from unlearn.params import Params, differentiate, flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.operator import Map, Operator
from unlearn.solvers.vectors import dot, norm


@register
@dataclass(frozen=True, kw_only=True)
class Influence(OneShot):
    """One step of the influence function, as it was published or towards the remaining data's own minimum.

    Koh and Liang, "Understanding black-box predictions via influence functions", 2017, arXiv 1703.04730:

        x <- x + (H + damping I)^-1 sum_F dl(z)          form="published": H of the whole objective, on the old graph
        x <- x - (H_R + damping I)^-1 dL_R               form="exact": remaining objective, data and graph

    The published form is the first order in the weight of the forgotten records. For one record of a least-squares
    problem it falls short of the retrained model by the factor 1 - h, with h the record's leverage; the exact form is
    Newton's step and hits it (Guo et al., "Certified data removal from machine learning models", 2020, arXiv
    1911.03030). Where there is a graph the published form does not see that the others' messages change (`gif` does).
    The exact form also carries out what training left undone, which is more than a request asks for where the model
    was stopped early.

    Embeddings that may turn are kept from turning. Memory: about ten vectors of the parameters' size and the graph of
    the objective's gradient, kept for the products.

    Args:
        damping: added to the curvature, a number of the objective's scale, which is a sum over records; see `OneShot`.
        solver: "lissa" is the paper's series with its scale chosen so that it cannot diverge from a positive curvature.
        tolerance: residual of the equation, over that of no step.
        max_products: with the curvature.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
        Diverges: solver="lissa" where the curvature is not positive.

    **Differences from the paper:** sums instead of means, so no n; the whole data's curvature in every step of the
    series instead of one record's; the exact form is ours to compare with; damping grows on negative curvature, and in
    the exact form until the remaining objective does not rise, which next to a flat direction it would by far; rows
    that only the forgotten data determined are cleared afterwards.
    """

    form: Literal["exact", "published"] = "exact"

    name = "influence"

    def step(self, problem: Problem, remaining: Problem, forget: ForgetSet, prior: Tensor | None) -> Tensor:
        if self.form == "published":
            records = problem.records(forget)
            at, params = problem, problem.params
            b = differentiate(lambda leaves: problem.record_losses(leaves, records).sum(), params)[1]
        else:
            at, params = remaining, remaining.settled(forget)
            b = flatten(remaining.value_and_gradient(params)[1]).neg_()
        operator, project = self.operator(at, params, prior), gauge_projection(at, params)
        if self.form == "published":
            return self.solve(operator, b, project)[0]
        return self._lowering(remaining, params, operator, b, project)

    def _lowering(
        self, remaining: Problem, start: Params, operator: Operator, b: Tensor, project: Map | None
    ) -> Tensor:
        """The solution with the least damping in `damping`, 4 `damping`, ... that does not raise the objective."""
        least, x = self, flatten(start)
        while True:
            step, damping = least.solve(operator, b, project)
            _, gradients = remaining.value_and_gradient(unflatten(x + step, start))
            # The mean of both slopes along the step: the change of the objective, exact where that is quadratic, and
            # with more digits than its two values have.
            if dot(flatten(gradients) - b, step) <= 0.0 or not norm(step) > torch.finfo(x.dtype).eps * norm(x):
                return step
            least = replace(least, damping=4.0 * damping)
