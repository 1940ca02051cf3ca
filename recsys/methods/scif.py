"""Influence of giving deleted interactions the label that their users' others suggest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.methods.ifru import rows_mask
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from unlearn.forget import ForgetSet
from unlearn.methods.base import register
from unlearn.methods.second_order import OneShot
from unlearn.params import Params, differentiate


@register
@dataclass(frozen=True, kw_only=True)
class SCIF(OneShot):
    """The influence step for deleted records that are relabelled instead of removed, on the touched rows alone.

    Li et al., "Selective and collaborative influence function for efficient recommendation unlearning", 2023, arXiv
    2304.10199.

        x <- x + p,   (P H P + damping I) p = P [ sum_F dl(y_z) - sum_F dl(m_z) ]

    Selective: P keeps the rows of users and items that lose an interaction. Collaborative: the label 1 of a deleted
    interaction becomes m, the mean label of its user over what remains, of its item where the user has nothing left.
    With no record gone H is exactly that of the relabelled objective: where only one side moves, the step is the
    refit.

    The relabelled interaction is what the step aims at; the model is then served, and the next request counted, on
    data without it. The graph's own change is not seen (`gif` does).

    Memory: about ten vectors of the parameters' size and the graph of the objective's gradient.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
        Diverges: solver="lissa" where the curvature is not positive.
        MissingRequirement: the objective is not `whole_data`: labels need a loss of single pairs.

    **Differences from the paper:** labels are implicit, so means go over all pairs of a user, 1 where observed and 0
    else; touched items move as well as touched users, without which a forgotten user would change nothing; the equation
    is solved on those rows instead of on all with most of the answer thrown away.
    """

    name = "scif"
    works_on = RecommenderProblem

    def _obstacle(self, problem: RecommenderProblem) -> str | None:
        if (why := super()._obstacle(problem)) is not None:
            return why
        if not isinstance(problem.objective_function, WholeData):
            name = problem.objective_function.name
            return f"`scif` needs the objective whole_data, whose pairs have labels (got {name})"
        return None

    def step(
        self, problem: RecommenderProblem, remaining: RecommenderProblem, forget: ForgetSet, prior: Tensor | None
    ) -> Tensor:
        records = problem.records(forget)
        labels = mean_labels(problem, remaining, records)

        def relabelled(params: Params) -> Tensor:
            users, items = problem.embed(params)
            scores = (users[problem.graph.rows[records]] * items[problem.graph.cols[records]]).sum(1)
            return ((1.0 - scores).square() - (labels - scores).square()).sum()

        touched = problem.touched(forget, hops=0)["table"][0].to(records.device)
        mask = rows_mask(problem, touched)
        b = differentiate(relabelled, problem.params)[1].mul_(mask)
        operator = self.operator(problem, problem.params, prior)
        return self.solve(operator, b, lambda vector: mask * vector)[0]


def mean_labels(problem: RecommenderProblem, remaining: RecommenderProblem, records: Tensor) -> Tensor:
    """For each deleted interaction the mean label of its user over all remaining items, or of its item over users."""
    rows, cols = problem.graph.rows[records], problem.graph.cols[records]
    of_users, of_items = (torch.from_numpy(degrees).to(rows.device) for degrees in remaining.data.degrees())
    n_users, n_items = (max(int(part.alive.sum()), 1) for part in (remaining.data.users, remaining.data.items))
    degrees = of_users[rows].double()
    return torch.where(degrees > 0, degrees / n_items, of_items[cols].double() / n_users).to(problem.graph.values)
