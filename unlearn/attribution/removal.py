"""Attribution by doing it: forget a group and look at what has changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.attribution.base import Attribution, Attributor, Groups, Query, Scores
from unlearn.methods.base import MissingRequirement, State, Unlearner
from unlearn.problem import Problem


@dataclass(frozen=True)
class Removal(Attributor):
    """score(q, group) = q(the model that `method` serves with) - q(that model after it forgot the group).

    The effect of a group is not the sum of its members' effects, which share the curvature that each is judged by:
    with `group_influence` the group's own second-order correction is in (Basu, You and Feizi, 2020, arXiv 1911.00418),
    with `newton` or `reconverge` all orders, and with `retrain` there is no estimate any more: leave-one-out itself.
    Where training samples that takes `coupled=True`; what another seed changes is no effect of the group.

    Raises:
        MissingRequirement: the method cannot be applied, or serves with a model that has no parameters to query.
    """

    method: Unlearner

    name = "removal"

    def fit(self, problem: Problem) -> RemovalAttribution:
        state = self.method.prepare(problem)
        if not isinstance(served := self.method.subject(problem, state), Problem):
            raise MissingRequirement(
                f"`{self.method.name}` must serve with a model that has parameters to query (got a "
                f"{type(served).__name__})"
            )
        return RemovalAttribution(problem, self.method, state, served)


@dataclass(frozen=True, eq=False)
class RemovalAttribution(Attribution):
    """One request of the method for every group."""

    problem: Problem
    method: Unlearner
    state: State | None
    served: Problem  # before anything is forgotten

    def scores(self, queries: Query, of: Tensor | Groups | None = None) -> Scores:
        if of is None or isinstance(of, Tensor):
            raise ValueError(
                f"`of` must be groups for `removal`, forget sets of one record or more (got {type(of).__name__})"
            )
        with torch.no_grad():
            before = queries(self.served, self.served.params)
        rows: list[Tensor] = []
        for group in of:
            after = self.method.forget(self.problem, group, self.state).problem
            assert isinstance(after, Problem)
            with torch.no_grad():
                rows.append(before - queries(after, after.params))
        return Scores(torch.stack(rows) if rows else before.new_zeros(0, len(before)), calibrated=True)
