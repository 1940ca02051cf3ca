"""The leading singular vectors against a dense decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array
from torch import Tensor

from recsys.closed_form.base import sparse_tensor
from recsys.closed_form.subspace import all_vectors, followed, leading_vectors
from tests.tolerances import CONVERGED64

COLD = (1, 2, 2, *[6] * 60)


def matrices(seed: int, *, rank: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """A [50, 30] dense and sparse, and its transpose sparse; of full rank where `rank` is None."""
    rng = np.random.default_rng(seed)
    dense = random_array((50, 30), density=0.3, rng=rng).toarray()
    if rank is not None:
        dense[:, rank:] = 0.0
    matrix = csr_array(dense)
    return torch.from_numpy(dense), *(sparse_tensor(csr_array(m), torch.float64) for m in (matrix, matrix.T))


def start(width: int) -> Tensor:
    return torch.randn(30, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def projector(vectors: Tensor) -> Tensor:
    return vectors @ vectors.T


@pytest.mark.parametrize("seed", range(3))
def test_a_cold_start_ends_at_the_singular_vectors(seed: int) -> None:
    dense, matrix, transposed = matrices(seed)
    expected = torch.linalg.svd(dense).Vh[:6].T
    found = leading_vectors(matrix, transposed, start(10), COLD, rank=6, tolerance=1e-10)[:, :6]
    torch.testing.assert_close(projector(found), projector(expected), **CONVERGED64)
    torch.testing.assert_close((found * expected).sum(0).abs(), torch.ones(6).double(), **CONVERGED64)


@pytest.mark.parametrize("rank", [None, 4])
def test_all_at_once_they_are_the_singular_vectors(rank: int | None) -> None:
    dense, matrix, transposed = matrices(0, rank=rank)
    expected = torch.linalg.svd(dense).Vh[: rank or 10].T
    found = all_vectors(matrix, transposed, 10)
    assert found.shape == (30, 10)
    torch.testing.assert_close((found[:, : rank or 10] * expected).sum(0).abs(), expected.norm(dim=0), **CONVERGED64)
    assert not found[:, rank or 10 :].any()


@pytest.mark.parametrize("width", [10, 30])
def test_a_spectrum_that_falls_far_loses_no_vector_in_single_precision(width: int) -> None:
    dense, _, _ = matrices(0)
    left, _, right = torch.linalg.svd(dense, full_matrices=False)
    falling = csr_array((left * torch.logspace(0, -1.4, 30, dtype=torch.float64) @ right).numpy())  # sigma^2 to 1.6e-3
    matrix, transposed = (sparse_tensor(csr_array(m), torch.float32) for m in (falling, falling.T))
    found = leading_vectors(matrix, transposed, start(width).float(), COLD, rank=6, tolerance=1e-4)
    assert (found.norm(dim=0) - 1.0).abs().max() < 1e-4
    assert (projector(found[:, :6]).double() - projector(right[:6].T)).norm() < 2e-3


def test_it_stops_at_the_tolerance() -> None:
    dense, matrix, transposed = matrices(0)
    coarse = leading_vectors(matrix, transposed, start(10), COLD, rank=6, tolerance=1e-2)[:, :6]
    product = dense.T @ dense @ coarse
    residual = (product - coarse * (coarse * product).sum(0)).norm(dim=0).max()
    assert 1e-9 < residual <= 1e-2


def test_a_warm_round_takes_most_of_a_small_change() -> None:
    dense, _, _ = matrices(0)
    vectors = torch.linalg.svd(dense).Vh[:16].T
    changed = dense.clone()
    changed[7] = 0.0
    matrix, transposed = (sparse_tensor(csr_array(m.numpy()), torch.float64) for m in (changed, changed.T))
    expected = projector(torch.linalg.svd(changed).Vh[:6].T)
    before = (projector(vectors[:, :6]) - expected).norm()
    after = leading_vectors(matrix, transposed, vectors, (3,), rank=6)[:, :6]
    assert (projector(after) - expected).norm() < 0.1 * before


def test_a_change_of_one_row_is_followed_beyond_the_old_span() -> None:
    dense, _, _ = matrices(0)
    vectors = torch.linalg.svd(dense).Vh[:10].T
    changed = dense.clone()
    changed[7] = 0.0
    changed[:, 3] *= 1.1  # as a degree would
    matrix, transposed = (sparse_tensor(csr_array(m.numpy()), torch.float64) for m in (changed, changed.T))
    expected = projector(torch.linalg.svd(changed).Vh[:6].T)
    sketch = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    stale, within, beyond = (
        float((projector(found[:, :6]) - expected).norm())
        for found in (
            vectors,
            followed(matrix, transposed, vectors, 0.0 * sketch),  # Rayleigh-Ritz on the old span
            followed(matrix, transposed, vectors, sketch),
        )
    )
    assert beyond < 0.1 * within < 0.1 * stale


def test_what_has_no_singular_value_is_zero() -> None:
    dense, matrix, transposed = matrices(0, rank=4)
    found = leading_vectors(matrix, transposed, start(10), COLD[:8], rank=6)
    torch.testing.assert_close(projector(found[:, :4]), projector(torch.linalg.svd(dense).Vh[:4].T), **CONVERGED64)
    assert not found[:, 4:].any()
    assert not leading_vectors(0.0 * matrix, 0.0 * transposed, start(10), COLD, rank=6).any()


def few_rows(seed: int, rows: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """A [rows, 200] in float64, with lengths of rows and columns divided out, and sparse with its transpose."""
    dense = (np.random.default_rng(seed).random((rows, 200)) < 0.2).astype(np.float64)
    dense /= np.sqrt(np.maximum(dense.sum(1), 1))[:, None] * np.sqrt(np.maximum(dense.sum(0), 1))
    matrix = csr_array(dense)
    return torch.from_numpy(dense), *(sparse_tensor(csr_array(m), dtype) for m in (matrix, matrix.T))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_no_vector_is_made_of_rounding(dtype: torch.dtype, tolerance: float) -> None:
    for seed in range(30):
        rows = 1 + seed % 10
        dense, matrix, transposed = few_rows(seed, rows, dtype)
        begin = torch.randn(200, 60, generator=torch.Generator().manual_seed(seed)).to(dtype)
        found = leading_vectors(matrix, transposed, begin, COLD, rank=8, tolerance=tolerance)
        fewer = dense.clone()
        fewer[0] = 0.0
        left = csr_array(fewer.numpy())
        sketch = torch.randn(8, 16, generator=torch.Generator().manual_seed(seed)).to(dtype)
        after = followed(*(sparse_tensor(csr_array(m), dtype) for m in (left, left.T)), found, sketch)
        for vectors, of, rank in ((found, dense, rows), (after, fewer, rows - 1)):
            there = vectors.any(0)
            assert int(there.sum()) <= rank
            assert ((of @ vectors.double()).square().sum(0)[there] > 1e-6).all()
