"""What attribution asks of models whose scores are dot products: queries, and closed forms of gradients and TracIn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor

from recsys.models.base import LinearRecommender
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


def tracin(problem: RecommenderProblem, pairs: Tensor, points: Iterable[tuple[float, Params]] | None = None) -> Tensor:
    """TracIn scores [n records, q] of (user row, item row) pairs [q, 2] in closed form (see `unlearn.attribution`).

    Pruthi et al., "Estimating training data influence by tracing gradient descent", 2020, arXiv 2002.08484. The loss of
    a record z is a function of a few scores y_s, each a dot product of two rows of Z = M E, with slopes
    c_zs = dl_z / dy_s. So with V = M^2 (e_u (x) z_i + e_i (x) z_u) for a pair (u, i)

        score = - sum_t eta_t sum_s c_zs (V_a . Z_b + Z_a . V_b),       s = (a, b) a user's and an item's row

    and no gradient is formed of any record: in matrix factorisation (M = I) only those of the same user or the same
    item have one that meets the pair's.

    Args:
        points: weights eta_t with parameters, as `unlearn.attribution.traced` has them of stored checkpoints; by
            default 1 with the problem's own (`unlearn.attribution.GradientDot`).

    **Differences from the paper:** those of `unlearn.attribution.TracIn`, but that the message graph is held fixed.

    Raises:
        ValueError: the model is not linear, or the objective is neither `whole_data` nor `bpr`.
    """
    model, graph = problem.model, problem.graph
    if not isinstance(model, LinearRecommender):
        raise ValueError(f"`model` must be linear for `tracin` (got {model.name}); take `unlearn.attribution.TracIn`")
    total = graph.values.new_zeros(problem.n_records, len(pairs))
    for rate, params in points or [(1.0, problem.params)]:
        final = torch.cat(problem.embed(params))
        rows, columns, slopes = _slopes(problem, final)
        for k, (user, item) in enumerate(pairs.tolist()):
            item += graph.n_users
            start = torch.zeros_like(final)
            start[user], start[item] = final[item], final[user]
            v = model.propagate(graph, model.propagate(graph, start))
            along = (v[rows] * final[columns]).sum(2) + (final[rows] * v[columns]).sum(2)
            total[:, k] -= rate * (slopes * along).sum(1)
    return total


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
