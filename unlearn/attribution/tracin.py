"""Attribution by gradients alone: what a training step on a record did to the query."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.attribution.base import Attribution, Attributor, Groups, Query, Scores, first_order
from unlearn.attribution.response import Response
from unlearn.history import Checkpoint
from unlearn.methods.base import MissingRequirement
from unlearn.params import Params
from unlearn.problem import Problem


@dataclass(frozen=True)
class TracIn(Attributor):
    """Pruthi et al., "Estimating training data influence by tracing gradient descent", 2020, arXiv 2002.08484.

        score(q, z) = - sum_t eta_t grad q(x_t) . grad l_z(x_t),        over the stored checkpoints x_t

    with eta_t the sum of the learning rates since the checkpoint before. A step of gradient descent on l_z changes q by
    about that much, so positive means that training on z raised q. Order is what it tells; its scale is the schedule's.

    **Differences from the paper:** eta_t covers all steps since the last checkpoint instead of one; where there is a
    message graph, what is weighted down includes the record's messages (see `Response`); of an adaptive optimiser only
    the rate enters, not its moments.
    """

    name = "tracin"

    def fit(self, problem: Problem) -> GradientAttribution:
        if not problem.history.checkpoints:
            raise MissingRequirement(
                "`tracin` needs history.checkpoints, which this problem did not keep. Train again with those kept "
                "(see `TrainingOptions.keep`), or take `GradientDot`, which needs the final parameters alone."
            )
        return GradientAttribution(problem, tuple(traced(problem.history.checkpoints)))


@dataclass(frozen=True)
class GradientDot(Attributor):
    """TracIn at one point, the parameters as they are: score(q, z) = - grad q . grad l_z.

    The first step that training would take if z were a little heavier; the influence function with the identity for
    its curvature.
    """

    name = "gradient_dot"

    def fit(self, problem: Problem) -> GradientAttribution:
        return GradientAttribution(problem, ((1.0, problem.params),))


def traced(checkpoints: tuple[Checkpoint, ...]) -> list[tuple[float, Params]]:
    """For each checkpoint the sum of the learning rates since the one before, and the parameters."""
    found: list[tuple[float, Params]] = []
    before = 0.0
    for checkpoint in checkpoints:
        if (state := checkpoint.optimizer) is not None:
            found.append((state.rates - before, checkpoint.params))
            before = state.rates
    return found


@dataclass(frozen=True, eq=False)
class GradientAttribution(Attribution):
    """Products of gradients, summed over points with a weight each."""

    problem: Problem
    points: tuple[tuple[float, Params], ...]

    def scores(self, queries: Query, of: Tensor | Groups | None = None) -> Scores:
        total: Tensor | None = None
        for weight, params in self.points:
            response = Response(self.problem, params)
            gradients, _ = response.of_queries(queries)
            found = [response.of_gradient(gradient).mul_(-weight) for gradient in gradients]
            values = torch.stack(found, 1) if found else gradients.new_zeros(response.n_weights, 0)
            total = values if total is None else total + values
        assert total is not None
        return first_order(total, self.problem, of, calibrated=False)
