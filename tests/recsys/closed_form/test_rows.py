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
    table = torch.from_numpy(rng.normal(size=(12, width)))
    held = torch.from_numpy(rng.uniform(1.0, 2.0, size=9))
    found = solve_rows(csr_array(dense), table, held, alpha=ALPHA)
    for row in range(9):
        own = torch.from_numpy(1.0 + ALPHA * dense[row])
        system = table.T @ own.diag() @ table + held[row] * torch.eye(width, dtype=torch.float64)
        expected = torch.linalg.solve(system, table.T @ (own * torch.from_numpy(dense[row])))
        torch.testing.assert_close(found[row], expected, **CONVERGED64)
