"""Half a step of alternating least squares: every row of one table, given the other."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.closed_form.systems import by_rows
from recsys.closed_form.triangles import add_outer, backward, factor, forward
from unlearn.compiled import kernel


def row_l2(histories: csr_array, most: int, *, alpha: float, l2: float, nu: float) -> Tensor:
    """The L2 of each row, l2 (1 + alpha n_x / m)^nu [q], for n_x interactions in a history of at most `most`, m."""
    return torch.from_numpy(l2 * (1.0 + alpha * np.diff(histories.indptr) / max(1, most)) ** nu)


def solve_rows(histories: csr_array, table: Tensor, l2: Tensor, *, alpha: float) -> Tensor:
    """Rows x [q, d] of the normal equations, one for each row of `histories` [q, m].

        (D + alpha Y_x^T Y_x) x = Y_x^T t,        D = Y^T Y + l2_x I,        t = 1 + alpha
        x = D^-1 Y_x^T w,                         (I + alpha Y_x D^-1 Y_x^T) w = t

    with Y the `table` [m, d], Y_x its n_x rows in the history and l2_x its entry in `l2` [q]. The second form is for
    histories shorter than d, whose systems are [n_x, n_x]. In the eigenvectors of Y^T Y every D is diagonal. By
    Cholesky.
    """
    q, d = len(histories.indptr) - 1, table.shape[1]
    if not histories.nnz:
        return table.new_zeros(q, d)
    values, axes = torch.linalg.eigh(table.double().T @ table.double())
    sizes, axes = values.clamp_min(0.0).to(table.dtype).numpy(), axes.to(table.dtype)
    used = torch.zeros(len(table), dtype=torch.bool)
    used[torch.from_numpy(histories.indices)] = True
    turned = torch.zeros_like(table)
    turned[used] = table[used] @ axes
    rows, own, solved = turned.numpy(), l2.to(table.dtype).numpy(), table.new_zeros(q, d)
    out, weight = solved.numpy(), rows.dtype.type(alpha)

    def work(part: slice) -> None:
        ends = histories.indptr[part.start : part.stop + 1]
        _normal_equations(ends, histories.indices, rows, sizes, own[part], weight, out[part])

    by_rows(work, q)
    return solved @ axes.T


@kernel
def _normal_equations(
    indptr: NDArray[np.integer],
    indices: NDArray[np.integer],
    table: NDArray[np.floating],
    sizes: NDArray[np.floating],
    l2: NDArray[np.floating],
    alpha: np.floating,
    out: NDArray[np.floating],
) -> None:
    d = table.shape[1]
    longest = 0
    for r in range(len(out)):
        longest = max(longest, indptr[r + 1] - indptr[r])
    chosen = np.empty((longest, d), table.dtype)
    across = np.empty(d * min(longest, d), table.dtype)
    triangle = np.empty(d * (d + 1) // 2, table.dtype)
    right = np.empty(d, table.dtype)
    alphas, shares = np.full(longest, alpha), np.empty(d, table.dtype)
    for r in range(len(out)):
        n = indptr[r + 1] - indptr[r]
        for e in range(n):
            chosen[e] = table[indices[indptr[r] + e]]
        triangle[:] = 0
        if n >= d:
            right[:] = 0
            start = 0
            for a in range(d):
                triangle[start] = sizes[a] + l2[r]
                start += d - a
            for e in range(n):
                for a in range(d):
                    right[a] += (1 + alpha) * chosen[e, a]
            add_outer(triangle, chosen[:n], alphas)
            factor(triangle, d)
            forward(triangle, right)
            backward(triangle, right)
            out[r] = right
        elif n > 0:
            columns = across[: d * n].reshape(d, n)
            start = 0
            for e in range(n):
                triangle[start] = 1
                start += n - e
                for a in range(d):
                    columns[a, e] = chosen[e, a]
            for a in range(d):
                shares[a] = alpha / (sizes[a] + l2[r])
            right[:n] = 1 + alpha
            add_outer(triangle, columns, shares)
            factor(triangle, n)
            forward(triangle, right[:n])
            backward(triangle, right[:n])
            for e in range(n):
                for a in range(d):
                    out[r, a] += right[e] * chosen[e, a]
            for a in range(d):
                out[r, a] /= sizes[a] + l2[r]
