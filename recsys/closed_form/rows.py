"""Half a step of alternating least squares: every row of one table, given the other."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

_BATCH_ENTRIES = 2**18  # which the caches hold


def strengths(histories: csr_array, *, alpha: float, l2: float, nu: float) -> Tensor:
    """The L2 of each row, l2 (1 + alpha n_x / m)^nu [q], for n_x interactions in a history of m."""
    _, most = cast("tuple[int, int]", histories.shape)
    return torch.from_numpy(l2 * (1.0 + alpha * np.diff(histories.indptr) / max(1, most)) ** nu)


def solve_rows(
    histories: csr_array, table: Tensor, pulls: Tensor, held: Tensor, *, alpha: float, offsets: Tensor | None = None
) -> Tensor:
    """Rows x [q, d] of the normal equations, one for each row of `histories` [q, m].

        (D + alpha Y_x^T Y_x) x = Y_x^T t + b,        D = Y^T Y + l2_x I
        x = D^-1 (Y_x^T w + b),                       (I + alpha Y_x D^-1 Y_x^T) w = t - alpha Y_x D^-1 b

    with Y the `table` [m, d], Y_x its n_x rows in the history, t what of `pulls` [nnz] belongs to it, l2_x its entry in
    `held` [q] and b its row of `offsets` [q, d] (zero if None). The second form is for histories shorter than d, whose
    systems are [n_x, n_x]. In the eigenvectors of Y^T Y every D is diagonal. By Cholesky, in batches of rows of similar
    length.
    """
    counts = np.diff(histories.indptr)
    order = np.argsort(-counts, kind="stable")
    order = order[: np.count_nonzero(counts)]  # an empty history solves to zero
    values, axes = torch.linalg.eigh(table.double().T @ table.double())
    diagonals = (values.clamp_min(0.0) + held[:, None]).to(table.dtype)
    axes = axes.to(table.dtype)
    padded = torch.cat([table @ axes, table.new_zeros(1, table.shape[1])])
    pulls = torch.cat([pulls, pulls.new_zeros(1)])
    turned = None if offsets is None else offsets @ axes
    solved = torch.zeros_like(diagonals)
    start = 0
    while start < len(order):
        longest = int(counts[order[start]])
        rows = order[start : start + max(1, _BATCH_ENTRIES // (table.shape[1] * longest))]
        start += len(rows)
        steps = np.arange(longest)
        there = steps < counts[rows][:, None]
        places = np.where(there, histories.indptr[rows][:, None] + steps, len(histories.indices))
        columns = np.where(there, histories.indices[np.minimum(places, len(histories.indices) - 1)], len(table))
        which = torch.from_numpy(rows)
        solved[which] = _solve(
            padded[torch.from_numpy(columns)],
            diagonals[which],
            pulls[torch.from_numpy(places)],
            None if turned is None else turned[which],
            alpha,
        )
    return solved @ axes.T


def _solve(chosen: Tensor, diagonals: Tensor, pulls: Tensor, offsets: Tensor | None, alpha: float) -> Tensor:
    """(D + alpha C^T C)^-1 (C^T t + b) [b, d] for C [b, n, d] and the diagonal D [b, d], by the smaller system."""
    pulls = pulls[:, :, None]
    if chosen.shape[1] >= chosen.shape[2]:
        systems = torch.baddbmm(diagonals.diag_embed(), chosen.mT, chosen, alpha=alpha)
        targets = chosen.mT @ pulls
        if offsets is not None:
            targets += offsets[:, :, None]
        return torch.cholesky_solve(targets, torch.linalg.cholesky(systems)).squeeze(2)
    scaled = chosen / diagonals[:, None]
    identity = torch.eye(chosen.shape[1], dtype=chosen.dtype).expand(len(chosen), -1, -1)
    factors = torch.linalg.cholesky(torch.baddbmm(identity, chosen, scaled.mT, alpha=alpha))
    if offsets is not None:
        pulls = torch.baddbmm(pulls, scaled, offsets[:, :, None], alpha=-alpha)
    weights = torch.cholesky_solve(pulls, factors)
    solved = (weights.mT @ scaled).squeeze(1)
    return solved if offsets is None else solved + offsets / diagonals
