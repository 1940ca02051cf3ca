"""Normal equations of rows, by either of their two systems, against a dense solve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recsys.closed_form.rows import solve_rows
from tests.tolerances import CONVERGED64

ALPHA = 3.0


@pytest.mark.parametrize("width", [2, 7, 12])  # most histories longer, some, none
def test_rows_solve_their_normal_equations(width: int) -> None:
    rng = np.random.default_rng(width)
    dense = np.tril(np.ones((9, 12), dtype=np.float64), k=-1)[:, rng.permutation(12)]  # of length 0 to 8
    histories = csr_array(dense)
    table = torch.from_numpy(rng.normal(size=(12, width)))
    pulls, offsets = (torch.from_numpy(rng.normal(size=shape)) for shape in (histories.nnz, (9, width)))
    held = torch.from_numpy(rng.uniform(1.0, 2.0, size=9))
    found = solve_rows(histories, table, pulls, held, alpha=ALPHA, offsets=offsets)
    weights = csr_array((pulls.numpy(), histories.indices, histories.indptr), shape=dense.shape).toarray()
    for row in range(9):
        own = torch.from_numpy(1.0 + ALPHA * dense[row])
        system = table.T @ own.diag() @ table + held[row] * torch.eye(width, dtype=torch.float64)
        expected = torch.linalg.solve(system, table.T @ torch.from_numpy(weights[row]) + offsets[row])
        # Nothing is known of a row without history, which stays at zero.
        torch.testing.assert_close(found[row], expected if dense[row].any() else 0.0 * expected, **CONVERGED64)
