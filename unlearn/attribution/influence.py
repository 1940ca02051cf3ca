"""Attribution by the influence function: what the model would say had a record weighed less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from unlearn.attribution.base import Attribution, Attributor, Groups, Query, Scores, first_order
from unlearn.attribution.response import Response, evenly
from unlearn.curvature import adam_damping, ekfac, gauge_projection, gauss_newton_operator, hessian_operator, row_blocks
from unlearn.invalid import require
from unlearn.params import flatten
from unlearn.problem import Problem
from unlearn.solvers.cg import cg
from unlearn.solvers.operator import Damping, Operator, damped
from unlearn.solvers.vectors import dot, norm

Inverse = Callable[[Tensor], tuple[Tensor, float]]
"""b [p] -> x with (H + damping) x ~ b, and the residual over |b|."""

_LEAST = 1e-6  # added to a curvature that is 0 along a direction and no more than that


@dataclass(frozen=True, kw_only=True)
class Influence(Attributor):
    """Koh and Liang, "Understanding black-box predictions via influence functions", 2017, arXiv 1703.04730.

    With L(x, w) = sum_z w_z l_z + background + penalty and x(w) its minimum, the implicit function theorem gives

        score(q, z) = dq(x(w), w) / dw_z = dq/dw_z - grad q^T (H + damping)^-1 d(grad L)/dw_z

    at w = 1: the first order of q(with z) - q(without z). One linear equation and one backward pass a query, whatever
    the number of records. The first term is what a query loses of its own messages; 0 without a graph. A tie between
    users has no loss, only messages, and is weighted by those.

    Solvers: "cg" on the Hessian or the Gauss-Newton matrix, preconditioned by the problem's landscape where it offers
    that, kept out of the rotations of embedding tables, with damping raised where curvature is negative; "rows", the
    exact blocks of single rows (Cheng et al., "Incorporating interpretability into latent factor models via fast
    influence analysis", 2019, restrict the Hessian so); "ekfac", the Fisher matrix in Kronecker factors
    (`unlearn.curvature.ekfac`). Residuals are of the equation with the whole curvature in all three, so they say how
    much an approximation leaves out.

    Where training sampled and kept Adam's moments, `adam_damping` joins the curvature; of "ekfac", which takes one
    number, its mean.

    Args:
        share: of the records that is thought to be there. Below 1 the model is trained on with every record at this
            weight, from where it stands, and linearised there: the middle of all subsets of that size, where 1 is a
            corner that is far from each of them. For what single records or small groups do to the model as it is, 1.
        damping: added to the curvature, of the scale of an objective that sums over records.
        tolerance: residual of the linear equations.
        max_products: with the curvature, for one query.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** sums instead of means, so no n; the effect on the message graph is in.
    """

    solver: Literal["cg", "rows", "ekfac"] = "cg"
    curvature: Literal["hessian", "gauss_newton"] = "hessian"
    damping: float = 0.0
    tolerance: float = 1e-3
    max_products: int = 300
    share: float = 1.0

    name = "influence"

    def __post_init__(self) -> None:
        fisher = self.solver == "ekfac"
        require(
            self,
            damping=("positive", self.damping > 0) if fisher else ("at least 0", self.damping >= 0),
            tolerance=("positive and below 1", 0 < self.tolerance < 1),
            max_products=("a positive integer", self.max_products >= 1),
            share=("above 0 and at most 1", 0 < self.share <= 1),
        )

    def fit(self, problem: Problem) -> InfluenceAttribution:
        centre = problem
        if self.share < 1.0:
            centre = problem.weighted(problem.record_unit, evenly(problem, self.share)).fit(problem.params)
        return InfluenceAttribution(problem, Response(problem, centre.params, self.share), self._inverse(centre))

    def _inverse(self, problem: Problem) -> Inverse:
        make = hessian_operator if self.curvature == "hessian" else gauss_newton_operator
        operator = make(problem)
        damping: Damping = self.damping
        if problem.stochastic and problem.history.optimizer:
            damping = adam_damping(problem) + damping
        if self.solver == "cg":
            return self._by_cg(problem, operator, damping)
        if self.solver == "rows":
            solve = row_blocks(problem, operator=operator).inverse(damping)
        else:
            solve = partial(ekfac(problem).solve, damping=float(torch.as_tensor(damping).mean()))
        whole = damped(operator, damping)

        def inverse(b: Tensor) -> tuple[Tensor, float]:
            x = solve(b)
            return x, norm(b - whole(x)) / (norm(b) or 1.0)

        return inverse

    def _by_cg(self, problem: Problem, operator: Operator, damping: Damping) -> Inverse:
        landscape, project = problem.landscape(), gauge_projection(problem)
        landscape.start(flatten(problem.params))

        def precondition(vector: Tensor) -> Tensor:
            return landscape.precondition(vector.clone())

        def inverse(b: Tensor) -> tuple[Tensor, float]:
            raised = 0.0
            while True:
                found = cg(
                    operator,
                    b,
                    damping=damping + raised,
                    tolerance=self.tolerance,
                    max_iterations=self.max_products,
                    preconditioner=precondition if landscape.preconditioned else None,
                    project=project,
                )
                if (v := found.negative_curvature) is None:
                    break
                raised += max(raised, -2.0 * dot(v, damped(operator, damping + raised)(v)) / dot(v, v), _LEAST)
            return found.x, found.residual

        return inverse


@dataclass(frozen=True, eq=False)
class InfluenceAttribution(Attribution):
    """The response of all records, and the inverse of the curvature, at the problem's parameters."""

    problem: Problem
    response: Response
    inverse: Inverse

    def scores(self, queries: Query, of: Tensor | Groups | None = None) -> Scores:
        gradients, direct = self.response.of_queries(queries)
        values, residuals = direct, torch.zeros(len(gradients), dtype=torch.float64)
        for k, gradient in enumerate(gradients):
            direction, residuals[k] = self.inverse(gradient)
            values[k] -= self.response.of_gradient(direction)
        return first_order(values.T, self.problem, of, calibrated=True, residuals=residuals)
