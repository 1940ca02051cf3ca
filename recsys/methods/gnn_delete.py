"""Unlearning by a deletion operator: linear maps of the rows around what is deleted, trained on two properties."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recsys.objectives.negatives import uniform_negatives
from recsys.problem import RecommenderProblem
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import State, Unlearner, register
from unlearn.params import Params
from unlearn.solvers.adam import Adam


@register
@dataclass(frozen=True, kw_only=True)
class GNNDelete(Unlearner):
    """A matrix for each hop around the deleted interactions, so that these score like pairs that never were.

    Cheng et al., "GNNDelete: A general strategy for unlearning in graph neural networks", 2023, arXiv 2302.13406. The
    operator multiplies row v of the table by W_h, h <= `hops` the distance of v from a deleted interaction, and leaves
    all others alone. With scores s of the old model and s' of the new table on the remaining graph, W minimises

        weight DEC + (1 - weight) NI

        DEC = 1/p sum over the p deleted (u, i) of (s'_ui - mean_j s_uj)^2      deleted edge consistency: `negatives`
                                                                                items j that are new to u
        NI  = 1/r sum over all other pairs that remain of (s'_ui - s_ui)^2      neighbourhood influence: nothing changes
                                                                                beyond the reach of operator and edges

    with r the remaining interactions of those who lost one, by `steps` Adam steps of rate `lr` from the identity; all
    pairs cost two Gram matrices. The items of a forgotten user are asked with the user's old final embedding, so that
    they do not go on being what this user liked.

    **Requests compose.** The operator is folded into the table, E_v <- E_v W_h(v), and thrown away. What is left is an
    ordinary model, and the next request's operator starts from there: after several, a row is E_v times the product of
    the matrices that it met, in order, and no request needs the data of an earlier one.

    Its aim is over-unlearning by intent: a retrained model scores a deleted pair like a held-out one, higher than a
    pair that never was. Ties have no scores that could be consistent: those that a request cuts are cut in s, too, so
    that NI does not take back what that changes, and a request of ties alone is `graph_drop`.

    Memory: (hops + 1) d^2 numbers, Adam's moments, and what one gradient of the embeddings takes. Nothing is prepared
    and nothing is kept.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** the operator acts on the trained rows before propagation instead of after each
    layer: a recommender's inputs are what it learned, where the paper's are features, and only so is the result a model
    of the same kind. DEC compares scores instead of embeddings, with the same user's unconnected items. NI covers
    all pairs of a user and an item, not only the connected ones, because a list ranks them all. W starts as the
    identity. One matrix serves all rows of a hop: beyond about d of them it cannot treat them one by one.
    """

    weight: float = 0.5
    hops: int = 1
    steps: int = 100
    lr: float = 1e-2
    negatives: int = 10
    seed: int = 0

    name = "gnn_delete"
    works_on = RecommenderProblem

    def __post_init__(self) -> None:
        require(
            self,
            weight=("in [0, 1]", 0 <= self.weight <= 1),
            hops=("an integer of at least 0", self.hops >= 0),
            steps=("a positive integer", self.steps >= 1),
            lr=("positive", self.lr > 0),
            negatives=("a positive integer", self.negatives >= 1),
        )

    def _forget(
        self, problem: RecommenderProblem, remaining: RecommenderProblem, forget: ForgetSet, state: State | None
    ) -> tuple[RecommenderProblem, State | None]:
        start = remaining.settled(forget)
        device = start["table"].device
        rings = [rows.to(device) for rows in problem.touched(forget, hops=self.hops)["table"]]
        properties = Properties.of(problem, remaining, forget, negatives=self.negatives, seed=self.seed)
        operators = torch.eye(start["table"].shape[1]).to(start["table"]).repeat(len(rings), 1, 1)
        adam = Adam(operators, lr=self.lr)
        for _ in range(self.steps):
            leaf = operators.clone().requires_grad_()
            consistency, influence = properties.losses(*remaining.embed(_folded(start, rings, leaf)))
            (gradient,) = torch.autograd.grad(self.weight * consistency + (1.0 - self.weight) * influence, leaf)
            adam.step(operators, gradient)
        return remaining.with_params(_folded(start, rings, operators)), state


def _folded(params: Params, rings: list[Tensor], operators: Tensor) -> Params:
    """The parameters with row v of the table multiplied by the operator of its ring."""
    table = params["table"]
    for rows, operator in zip(rings, operators, strict=True):
        table = table.index_copy(0, rows, params["table"][rows] @ operator)
    return params | {"table": table}


def _untied(problem: RecommenderProblem, remaining: RecommenderProblem) -> RecommenderProblem:
    """The problem without the ties that `remaining` lacks, all interactions in their place."""
    data, values = replace(problem.data, ties=remaining.data.ties), problem.graph.values
    graph = problem.model.message_graph(data, dtype=values.dtype, device=values.device)
    return replace(problem, data=data, graph=problem.graph.carried(graph, problem.records(ForgetSet())))


@dataclass(frozen=True, eq=False)
class Properties:
    """What the operator is trained for, with the old model's part computed once.

    `users`, `items` are the old final embeddings; `left`, `right` [n_users, 1] and [n_items, 1] are 1 where the row
    remains and 0 where it is forgotten; `rows`, `columns` [p] are the deleted pairs and `targets` [p] the scores they
    are to have; `others` counts the remaining interactions of those who lost one.
    """

    users: Tensor
    items: Tensor
    left: Tensor
    right: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    others: int

    @classmethod
    def of(
        cls,
        problem: RecommenderProblem,
        remaining: RecommenderProblem,
        forget: ForgetSet,
        *,
        negatives: int,
        seed: int,
    ) -> Properties:
        graph = problem.graph
        users, items = (problem if problem.n_ties == remaining.n_ties else _untied(problem, remaining)).readout()
        records = problem.records(forget)
        rows, columns = graph.rows[records], graph.cols[records]
        against = uniform_negatives(graph, records, negatives, seed=seed, epoch=0)
        left, right = (
            torch.tensor(part.alive[:, None]).to(users) for part in (remaining.data.users, remaining.data.items)
        )
        targets = (users[rows][:, None] * items[against]).sum(2).mean(1)
        left_over = torch.isin(remaining.graph.rows, rows) | torch.isin(remaining.graph.cols, columns)
        return cls(users, items, left, right, rows, columns, targets, int(left_over.sum()))

    def losses(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """DEC and NI of new final embeddings [n_users, d] and [n_items, d], two scalars."""
        rows, columns = self.rows, self.columns
        # Where an end is forgotten its old embedding asks.
        of_users = self.left * users + (1.0 - self.left) * self.users
        of_items = self.right * items + (1.0 - self.right) * self.items
        deleted = (of_users[rows] * of_items[columns]).sum(1)
        consistency = (deleted - self.targets).square().sum() / max(len(rows), 1)
        # s' - s = (z'_u - z_u) . z'_i + z_u . (z'_i - z_i): differences before squares, so nothing cancels.
        p = torch.cat([users - self.users, self.users], dim=1) * self.left
        q = torch.cat([items, items - self.items], dim=1) * self.right
        there = (self.left[rows] * self.right[columns]).squeeze(1)
        change = there * (deleted - (self.users[rows] * self.items[columns]).sum(1))
        influence = ((p.T @ p) * (q.T @ q)).sum() - change.square().sum()
        return consistency, influence / max(self.others, 1)
