"""Influence of deleted interactions and of their spill-over, on the rows that feel it most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.problem import RecommenderProblem
from unlearn.forget import ForgetSet
from unlearn.invalid import Rules
from unlearn.methods.base import register
from unlearn.methods.second_order import OneShot, removed_gradient
from unlearn.params import flatten


@register
@dataclass(frozen=True, kw_only=True)
class IFRU(OneShot):
    """The graph influence step, held to the embeddings of influential users and items.

    Zhang et al., "Recommendation unlearning via influence function", 2023, arXiv 2307.02147.

        x <- x + p,   (P H P + damping I) p = P [ sum_F dl(z; G) + sum_{R} (dl(z; G) - dl(z; G_R)) ]

    The second sum is the spill-over through the computational graph: 0 for matrix factorisation. P keeps the `share` of
    the rows that the request reaches within `hops` with the greatest importance

        imp_0(v) = deleted edges of v / (deg v + 1),   imp_k(v) = sum_{w in N(v) + v} imp_{k-1}(w) / (deg v + 1)

    on the old graph, k = `hops`; ties are edges where the model uses them. With `share` 1 and `hops` beyond the graph's
    diameter it is `gif`.

    Memory: about ten vectors of the parameters' size and the graph of the objective's gradient: the pruned rows are
    zeros, not missing.

    Args:
        share: of the rows reached; ties at the border are kept.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
        Diverges: solver="lissa" where the curvature is not positive.

    **Differences from the paper:** conjugate gradients to a known residual instead of Adam stopped by validation; the
    curvature sees the propagation that the gradient sees, which released code leaves out; the term of unobserved pairs
    has its spill-over, too; parameters beside the table do not move.
    """

    share: float = 0.6
    hops: int = 1

    name = "ifru"
    works_on = RecommenderProblem

    def _rules(self) -> Rules:
        return super()._rules() | {
            "share": ("above 0 and at most 1", 0 < self.share <= 1),
            "hops": ("an integer of at least 0", self.hops >= 0),
        }

    def step(
        self, problem: RecommenderProblem, remaining: RecommenderProblem, forget: ForgetSet, prior: Tensor | None
    ) -> Tensor:
        mask = rows_mask(problem, influential(problem, forget, self.hops, self.share))
        b = removed_gradient(problem, remaining, forget)
        operator = self.operator(problem, problem.params, prior)
        return self.solve(operator, b.mul_(mask), lambda vector: mask * vector)[0]


def importance(problem: RecommenderProblem, forget: ForgetSet, hops: int) -> Tensor:
    """How much of what a row listens to is deleted, at `hops` hops [n_users + n_items]; float64."""
    graph = problem.graph
    edges = torch.from_numpy(problem.message_edges())
    deleted = edges[torch.cat([problem.records(forget).cpu(), problem.n_records + problem.ties(forget).cpu()])]
    lost, had = (
        torch.bincount(ends.flatten(), minlength=graph.n_nodes).double().to(graph.rows.device)
        for ends in (deleted, edges)
    )
    listens = 1.0 + had
    found = lost / listens
    adjacency = graph.adjacency(torch.ones_like(graph.values, dtype=torch.float64))
    for _ in range(hops):
        found = (found + adjacency @ found) / listens
    return found


def influential(problem: RecommenderProblem, forget: ForgetSet, hops: int, share: float) -> Tensor:
    """The rows [k] that are kept, ascending."""
    found = importance(problem, forget, hops)
    reached = found[found > 0]
    if not reached.numel():
        return torch.empty(0, dtype=torch.int64, device=found.device)
    border = torch.quantile(reached, 1.0 - share, interpolation="lower")
    return ((found > 0) & (found >= border)).nonzero().flatten()


def rows_mask(problem: RecommenderProblem, rows: Tensor) -> Tensor:
    """A 0/1 vector [p] of these rows of the table and of nothing else."""
    masks = {name: torch.zeros_like(value) for name, value in problem.params.items()}
    masks["table"][rows] = 1.0
    return flatten(masks)
