"""What attribution asks of models whose scores are dot products: queries, and gradients in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from recsys.models.mf import MF
from recsys.objectives.bpr import BPR
from recsys.objectives.negatives import uniform_negatives
from recsys.objectives.whole_data import WholeData
from recsys.problem import RecommenderProblem
from unlearn.params import Params
from unlearn.problem import Problem


class SparseProjection(Protocol):
    """A projection that takes gradients of few entries, as `unlearn.attribution.CountSketch`."""

    def sparse(self, positions: Tensor, values: Tensor) -> Tensor: ...


def pair_scores(pairs: Tensor) -> Callable[[Problem, Params], Tensor]:
    """The scores [q] of (user row, item row) pairs [q, 2], as a query of `unlearn.attribution`."""

    def query(problem: Problem, params: Params) -> Tensor:
        assert isinstance(problem, RecommenderProblem)
        users, items = problem.embed(params)
        return (users[pairs[:, 0]] * items[pairs[:, 1]]).sum(1)

    return query


def projected_gradients(problem: RecommenderProblem, projection: SparseProjection) -> Callable[[Tensor], Tensor]:
    """Record indices [r] -> -P grad l_z [r, width] of a matrix factorisation, whose gradients are a few rows.

    What `unlearn.attribution.gradient_features` gives, without a backward pass for each record.

    Raises:
        ValueError: the model is no `mf`, or the objective is neither `whole_data` nor `bpr`.
    """
    if not isinstance(problem.model, MF):
        raise ValueError(f"`model` must be mf for `projected_gradients` (got {problem.model.name})")
    table = problem.params["table"]
    rows, columns, slopes = _slopes(problem, table)
    offsets = torch.arange(table.shape[1])

    def features(records: Tensor) -> Tensor:
        a, b, c = rows[records], columns[records], slopes[records].unsqueeze(2)
        values = torch.cat([c * table[b], c * table[a]], 1)
        positions = torch.cat([a, b], 1).unsqueeze(2) * table.shape[1] + offsets
        return projection.sparse(positions.flatten(1), values.flatten(1)).neg_()

    return features


def _slopes(problem: RecommenderProblem, final: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For every record the pairs of nodes [n, s] whose scores its loss is a function of, and its slopes [n, s]."""
    graph, objective = problem.graph, problem.objective_function
    users, positives = graph.rows[:, None], graph.cols[:, None] + graph.n_users
    y = (final[users] * final[positives]).sum(2)
    if isinstance(objective, WholeData):
        return users, positives, objective.slopes(y[:, 0], graph)[:, None]
    if not isinstance(objective, BPR):
        raise ValueError(
            f"`objective` must be whole_data or bpr for a closed form (got {objective.name}); "
            "take `unlearn.attribution.TracIn`"
        )
    everyone = torch.arange(graph.n_edges, device=final.device)
    against = uniform_negatives(graph, everyone, objective.negatives, seed=objective.seed, epoch=0)
    columns = torch.cat([positives, against + graph.n_users], 1)
    users = users.expand_as(columns)
    margins = (final[users[:, 1:]] * final[columns[:, 1:]]).sum(2) - y
    pull = torch.sigmoid(margins) / objective.negatives
    slopes = torch.cat([-pull.sum(1, keepdim=True), pull], 1)
    return users, columns, slopes if graph.weights is None else slopes * graph.weights[:, None]
