"""The k best columns of each row of a score matrix, in an order that does not depend on luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.data.interactions import Interactions

_CHUNK_ENTRIES = 2**23  # scores held at once: 32 MiB in float32

Rows = NDArray[np.int64]
Seen = Callable[[Rows], tuple[Rows, Rows]]
"""Of user rows [c]: for every pair that must not be ranked, the index into those rows and the item row."""


Scores = Callable[[Rows], Tensor]
"""Of user rows [c]: their scores of all items [c, m], in a tensor that the caller may overwrite."""


def dot_products(users: Tensor, items: Tensor) -> Scores:
    """The scores of final embeddings [n, d] and [m, d]; each call overwrites what the one before it returned."""
    users, items = users.detach(), items.detach()
    buffer = items.new_empty(0, len(items))

    def scores(rows: Rows) -> Tensor:
        nonlocal buffer
        if len(buffer) < len(rows):
            buffer = items.new_empty(len(rows), len(items))
        return torch.mm(users[torch.from_numpy(rows).to(users.device)], items.T, out=buffer[: len(rows)])

    return scores


def chunks(rows: Rows, n_items: int) -> Iterator[Rows]:
    """The rows in parts whose scores fit into memory together."""
    size = max(1, _CHUNK_ENTRIES // max(1, n_items))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def best(
    scores: Scores, rows: Rows, n_items: int, *, k: int, seen: Seen | None = None, banned: Rows | None = None
) -> Iterator[tuple[Rows, NDArray[np.float64], Rows]]:
    """Chunk by chunk: user rows [c], and the scores and item rows [c, min(k, m)] of their best items, best first.

    Args:
        rows: whom to rank for [q].
        seen: pairs that are no candidates; banned: item rows that are no candidates for anyone.

    A place without candidate has score -inf and an item of no meaning.
    """
    for chunk in chunks(rows, n_items):
        found = scores(chunk)
        if seen is not None:
            local, columns = seen(chunk)
            found.view(-1).index_fill_(0, torch.from_numpy(local * n_items + columns).to(found.device), -torch.inf)
        if banned is not None:
            found.index_fill_(1, torch.from_numpy(banned).to(found.device), -torch.inf)
        values, places = top_k(found, k)
        yield chunk, values.double().cpu().numpy(), places.cpu().numpy()


def seen_items(data: Interactions, rows: Rows) -> tuple[Rows, Rows]:
    """Interactions of the user rows [c]: index into `rows`, and item row, of each."""
    counts = data.indptr[rows + 1] - data.indptr[rows]
    local = np.repeat(np.arange(len(rows), dtype=np.int64), counts)
    first = np.cumsum(counts) - counts
    return local, data.indices[np.arange(counts.sum()) + (data.indptr[rows] - first)[local]]


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest entries of each row [q, min(k, m)]: values, and columns; equal values by ascending column.

    Args:
        scores: [q, m]; -inf marks what is no candidate. Where a row has fewer than `k` candidates, the surplus has
            value -inf and a column of no meaning.
    """
    k = min(k, scores.shape[1])
    # One more than asked for tells whether the last place is shared with a column that was left out.
    values, columns = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    by_column = columns.argsort(dim=1)
    columns = columns.gather(1, by_column)
    values, order = values.gather(1, by_column).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    if 0 < k < values.shape[1]:
        shared = (values[:, k - 1] == values[:, k]) & (values[:, k] > -torch.inf)
        rows = shared.nonzero().squeeze(1)
        if len(rows):
            ordered = scores[rows].sort(dim=1, descending=True, stable=True)
            values[rows, :k], columns[rows, :k] = ordered.values[:, :k], ordered.indices[:, :k]
    return values[:, :k], columns[:, :k]
