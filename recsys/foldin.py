"""Asking a model about a user or item that it no longer holds: half of the history is folded in, the rest is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.objectives.model_loss import ModelLoss
from recsys.ranking import Rows
from unlearn.forget import ForgetSet
from unlearn.params import Params
from unlearn.streams import uniforms
from unlearn.vocabulary import Vocabulary

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
    whole = whole[np.lexsort((draw, owner))]
    owner = np.sort(owner)
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    asked = np.concatenate([single, whole[place % 2 == 0]])
    folded = whole[place % 2 == 1]
    return Halves((rows[asked], columns[asked]), (rows[folded], columns[folded]))


def folded_users(loss: ModelLoss, params: Params, data: Interactions, histories: sparse.csr_array) -> Tensor:
    """Scores [q, n_items] of users with these interactions [q, n_items].

    They join the remaining graph with a layer-0 row of zero, so their final embeddings are the propagated ones of
    their neighbours: z_u = sum_l c_l (A^l E)_u with E_u = 0. In a model without a graph, where that is zero, the mean
    of the neighbours' embeddings stands in.
    """
    users, items = _joined_by(loss, params, data, histories)
    return _or_means(users, histories, items) @ items.T


def neighbourhood(loss: ModelLoss, params: Params, data: Interactions, histories: sparse.csr_array) -> Tensor:
    """What propagation alone makes of users with these interactions: z_u [q, d] as above; zero without a graph."""
    return _joined_by(loss, params, data, histories)[0]


def _joined_by(
    loss: ModelLoss, params: Params, data: Interactions, histories: sparse.csr_array
) -> tuple[Tensor, Tensor]:
    matrix = sparse.csr_array(sparse.vstack([data.csr(), histories]))
    users, items = _embedded(loss, params, data, matrix, after=data.n_users)
    return users[data.n_users :], items


def folded_items(loss: ModelLoss, params: Params, data: Interactions, histories: sparse.csr_array) -> Tensor:
    """Scores [n_users, p] of items with these interactions [p, n_users], by the same rule."""
    matrix = sparse.csr_array(sparse.hstack([data.csr(), histories.T]))
    users, items = _embedded(loss, params, data, matrix, after=loss.graph.n_nodes)
    return users @ _or_means(items[data.n_items :], histories, users).T


def _embedded(
    loss: ModelLoss, params: Params, data: Interactions, matrix: sparse.csr_array, *, after: int
) -> tuple[Tensor, Tensor]:
    """Final embeddings over the interactions `matrix`, which has nodes more than the model from row `after` on."""
    matrix.sort_indices()
    n_users, n_items = cast("tuple[int, int]", matrix.shape)
    graph, model = loss.graph, loss.model
    wider = Interactions(
        Vocabulary(range(n_users)),
        Vocabulary(range(n_items)),
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int64),
        ties=data.ties,
    )
    new = n_users + n_items - graph.n_nodes
    params = {
        name: torch.cat([value[:after], value.new_zeros(new, *value.shape[1:]), value[after:]])
        if name in loss.row_parameters
        else value
        for name, value in params.items()
    }
    joined = ModelLoss(
        type(model)(n_users, n_items, **model.arguments()).to(graph.values.device).eval(),
        loss.objective,
        model.message_graph(wider, dtype=graph.values.dtype, device=graph.values.device),
    )
    with torch.no_grad():
        return joined.embed(params)


def _or_means(table: Tensor, histories: sparse.csr_array, others: Tensor) -> Tensor:
    """`table` [q, d] with the mean of the neighbours among `others` in rows that are zero."""
    neighbours = sparse.coo_array(histories)
    rows, columns = (torch.from_numpy(part.astype(np.int64)).to(table.device) for part in neighbours.coords)
    total = torch.zeros_like(table).index_add_(0, rows, others[columns])
    count = torch.bincount(rows, minlength=len(table)).clamp_min(1)[:, None]
    return torch.where((table == 0).all(1, keepdim=True), total / count, table)
