"""Influence of a group that is too large to be a small change: a segment of users, a cohort, a source."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from unlearn.curvature import gauge_projection
from unlearn.forget import ForgetSet
from unlearn.invalid import Rules
from unlearn.methods.base import register
from unlearn.methods.second_order import OneShot, removed_gradient, staying
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class GroupInfluence(OneShot):
    """Second-order influence: the members of a group weigh on the curvature that their removal is judged by.

    Basu, You and Feizi, "On second-order group influence functions for black-box predictions", 2020, arXiv 1911.00418.
    In sums over records, with A = H + damping I of the whole objective, H_F = H - H_R what the group takes along, and
    b the gradient that leaves with it:

        step = A^-1 b + A^-1 H_F A^-1 b + ... + (A^-1 H_F)^(order - 1) A^-1 b

    Order 1 is the plain influence function, order 2 the paper's, and the sum of all is Newton's step on the remaining
    objective: where H and H_F are positive, every further order shrinks the error by the factor A^-1 H_F, the group's
    share in the curvature. That is small for one record, where the first order does, and near 1 in directions that
    nobody else speaks about. Newton's one step is not the retrained model: where the objective is far from quadratic a
    low order may be nearer to that than the whole sum.

    Memory: about twelve vectors of the parameters' size and two graphs of the objective's gradient, on old and
    remaining data. Each order costs a solve.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
        Diverges: solver="lissa" where the curvature is not positive.

    **Differences from the paper:** sums with a penalty that stays, so that its factors of |group| / n, which come from
    dividing by another n, are 1; third derivatives are left out as there; b and H_F contain the difference that the
    remaining graph makes, which for records without a graph is none; orders above 2; rows that only the forgotten data
    determined are cleared.
    """

    order: int = 2

    name = "group_influence"

    def _rules(self) -> Rules:
        return super()._rules() | {"order": ("a positive integer", self.order >= 1)}

    def step(self, problem: Problem, remaining: Problem, forget: ForgetSet, prior: Tensor | None) -> Tensor:
        b = removed_gradient(problem, remaining, forget)
        mask, project = staying(remaining, forget), gauge_projection(problem)
        whole = self.operator(problem, problem.params, prior)
        left = self.operator(remaining, remaining.settled(forget), prior)
        step, damping = self.solve(whole, b, project)
        damped = replace(self, damping=damping)  # the same matrix in every term
        for _ in range(self.order - 1):
            step = damped.solve(whole, b + mask * (whole(step) - left(step)), project)[0]
        return step
