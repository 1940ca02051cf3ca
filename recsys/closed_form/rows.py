"""Half a step of alternating least squares: every row of one table, given the other."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

_BATCH_ENTRIES = 2**20


def solve_rows(histories: csr_array, table: Tensor, *, alpha: float, l2: float) -> Tensor:
    """Rows x [q, d] that minimise sum_i c_i (p_i - x . y_i)^2 + l2 |x|^2, one for each row of `histories` [q, m].

        x = (Y^T Y + alpha Y_x^T Y_x + l2 I)^-1 (1 + alpha) sum of Y_x

    with Y the `table` [m, d] and Y_x its rows in the history, whose confidence is c = 1 + alpha and preference p = 1;
    all others have c = 1, p = 0. By Cholesky, in batches of rows of similar length.
    """
    width = table.shape[1]
    counts = np.diff(histories.indptr)
    order = np.argsort(-counts, kind="stable")
    order = order[: np.count_nonzero(counts)]  # an empty history solves to zero
    sorted_rows = csr_array(histories[order])
    gram = (table.double().T @ table.double()).to(table.dtype)
    gram.diagonal().add_(l2)
    padded = torch.cat([table, table.new_zeros(1, width)])
    solved = table.new_zeros(len(counts), width)
    start = 0
    while start < len(order):
        longest = int(counts[order[start]])
        rows = order[start : start + max(1, _BATCH_ENTRIES // (width * max(longest, width)))]
        end = start + len(rows)
        columns = np.full((len(rows), longest), len(table), dtype=np.int64)
        columns[np.arange(longest) < counts[rows][:, None]] = sorted_rows.indices[
            sorted_rows.indptr[start] : sorted_rows.indptr[end]
        ]
        chosen = padded[torch.from_numpy(columns)]
        systems = torch.baddbmm(gram.expand(len(rows), -1, -1), chosen.mT, chosen, alpha=alpha)
        targets = (1.0 + alpha) * chosen.sum(1, keepdim=True).mT
        solved[torch.from_numpy(rows)] = torch.cholesky_solve(targets, torch.linalg.cholesky(systems)).squeeze(2)
        start = end
    return solved
