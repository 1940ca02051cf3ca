"""Attribution by doing it: forget a group and look at what has changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.attribution.base import Attribution, Attributor, Groups, Query, Scores
from unlearn.methods.base import State, Unlearner
from unlearn.problem import Problem


@dataclass(frozen=True)
class Removal(Attributor):
    """score(q, group) = q(the model) - q(the model after `method` forgot the group).

    The effect of a group is not the sum of its members' effects, which share the curvature that each is judged by:
    with `group_influence` the group's own second-order correction is in (Basu, You and Feizi, 2020, arXiv 1911.00418),
    with `newton` or `reconverge` all orders, and with `retrain` there is no estimate any more: leave-one-out itself.
    """

    method: Unlearner

    name = "removal"

    def fit(self, problem: Problem) -> RemovalAttribution:
        return RemovalAttribution(problem, self.method, self.method.prepare(problem))


@dataclass(frozen=True, eq=False)
class RemovalAttribution(Attribution):
    """One request of the method for every group."""

    problem: Problem
    method: Unlearner
    state: State | None

    def scores(self, queries: Query, of: Tensor | Groups | None = None) -> Scores:
        if of is None or isinstance(of, Tensor):
            raise ValueError(
                f"`of` must be groups for `removal`, forget sets of one record or more (got {type(of).__name__})"
            )
        with torch.no_grad():
            before = queries(self.problem, self.problem.params)
        rows: list[Tensor] = []
        for group in of:
            after = self.method.forget(self.problem, group, self.state).problem
            assert isinstance(after, Problem)
            with torch.no_grad():
                rows.append(before - queries(after, after.params))
        return Scores(torch.stack(rows) if rows else before.new_zeros(0, len(before)), calibrated=True)
