"""Asking a model about a user or item that it no longer holds: half of the history is folded in, the rest is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.problem import RecommenderProblem
from unlearn.forget import ForgetSet
from unlearn.streams import uniforms

Rows = NDArray[np.int64]
Pairs = tuple[Rows, Rows]


@dataclass(frozen=True, eq=False)
class Halves:
    """User and item rows of the forgotten interactions: those a model is `asked` about, and those `folded` in first.

    Single interactions are all asked about; of a forgotten user's or item's, every second one in random order.
    """

    asked: Pairs
    folded: Pairs


def split_history(data: Interactions, forget: ForgetSet, *, seed: int) -> Halves:
    """Both halves; who has an odd number is asked about one more than is folded in."""
    rows, columns = data.user_rows(), data.item_rows()
    whole = data.positions(ForgetSet(users=forget.users, items=forget.items))
    single = np.setdiff1d(data.positions(forget), whole)
    forgotten = np.zeros(data.n_users, dtype=np.bool_)
    forgotten[data.users.rows(forget.users)] = True
    owner = np.where(forgotten[rows[whole]], rows[whole], data.n_users + columns[whole])
    draw = uniforms(seed, "audit/fold", data.users.keys[rows[whole]], data.items.keys[columns[whole]])
    whole = whole[np.lexsort((draw, owner))] if len(whole) else whole
    owner = np.sort(owner)
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    asked = np.concatenate([single, whole[place % 2 == 0]])
    folded = whole[place % 2 == 1]
    return Halves((rows[asked], columns[asked]), (rows[folded], columns[folded]))


def folded_readout(
    problem: RecommenderProblem, original: RecommenderProblem, forget: ForgetSet, halves: Halves
) -> tuple[Tensor, Tensor]:
    """Final embeddings of users [n, d] and items [m, d] of `problem`, with what it no longer holds folded in.

    The folded half's edges join the remaining graph; the layer-0 rows of the forgotten are zero, so their final
    embeddings are the propagated ones of their neighbours: z_u = sum_l c_l (A^l E)_u with E_u = 0. In a model without
    a graph, where that is zero, the mean of the neighbours' embeddings stands in.
    """
    users = original.data.users.rows(forget.users)
    items = original.data.items.rows(forget.items)
    if problem.data.users.alive[users].all() and problem.data.items.alive[items].all():
        return problem.readout()
    asked = zip(original.data.users.take(halves.asked[0]), original.data.items.take(halves.asked[1]), strict=True)
    widened = original.without(ForgetSet(interactions=tuple(asked), ties=forget.ties))
    gone = torch.from_numpy(np.concatenate([users, items + original.data.n_users])).to(problem.graph.rows.device)
    params = {
        name: value.index_fill(0, gone, 0.0) if value.shape[:1] == (problem.graph.n_nodes,) else value
        for name, value in problem.params.items()
    }
    of_users, of_items = widened.with_params(params).readout()
    rows, columns = (torch.from_numpy(part).to(of_users.device) for part in halves.folded)
    return _with_means(of_users, of_items, rows, columns, users), _with_means(of_items, of_users, columns, rows, items)


def _with_means(table: Tensor, others: Tensor, rows: Tensor, columns: Tensor, forgotten: Rows) -> Tensor:
    """`table` with the mean of `others[columns]` in those forgotten rows that are zero."""
    total = torch.zeros_like(table).index_add_(0, rows, others[columns])
    count = torch.bincount(rows, minlength=len(table)).clamp_min(1)[:, None]
    empty = torch.zeros(len(table), 1, dtype=torch.bool, device=table.device)
    empty[torch.from_numpy(forgotten).to(table.device)] = True
    return torch.where(empty & (table == 0).all(1, keepdim=True), total / count, table)
