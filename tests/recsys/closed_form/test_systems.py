"""Packed Cholesky factors against dense ones."""

from __future__ import annotations

import pytest
import torch

from recsys.closed_form.systems import Systems
from tests.tolerances import CONVERGED64


@pytest.mark.parametrize("width", [1, 3, 4, 11])
def test_factors_and_solutions_are_those_of_dense_matrices(width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    roots = torch.randn(7, width, width, dtype=torch.float64, generator=generator)
    dense = roots @ roots.mT + torch.eye(width, dtype=torch.float64)
    right = torch.randn(7, width, dtype=torch.float64, generator=generator)
    before = right.clone()
    rows, columns = torch.triu_indices(width, width)
    systems = Systems.factored(dense[:, rows, columns].contiguous(), width)
    torch.testing.assert_close(systems.solve(right), torch.linalg.solve(dense, right), **CONVERGED64)
    assert torch.equal(right, before)
