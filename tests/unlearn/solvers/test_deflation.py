"""The lower end beside a known basis, against dense eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.unlearn.solvers.matrices import symmetric
from unlearn.solvers.deflation import smallest_eigenvalue_near
from unlearn.solvers.lanczos import smallest_eigenvalue

CLUSTER, SIZE = 20, 300


def clustered(low: float = -1e-5, gap: float = 0.02) -> np.ndarray:
    """Twenty eigenvalues near zero and a bulk that begins at the gap."""
    rng = np.random.default_rng(3)
    return np.concatenate([[low], 1e-6 * rng.random(CLUSTER - 1), np.linspace(gap, 2.0, SIZE - CLUSTER)])


def nearly(matrix: Tensor, error: float) -> Tensor:
    """Orthonormal columns near the lowest eigenvectors of the matrix."""
    _, vectors = torch.linalg.eigh(matrix)
    noise = torch.from_numpy(np.random.default_rng(4).standard_normal((SIZE, CLUSTER))) / SIZE**0.5
    return torch.linalg.qr(vectors[:, :CLUSTER] + error * noise).Q


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("error", [0.0, 1e-5, 3e-4])
def test_a_cluster_is_bracketed_and_costs_few_products(error: float, seed: int) -> None:
    spectrum = clustered()
    matrix = symmetric(spectrum, seed)
    found = smallest_eigenvalue_near(matrix.matmul, nearly(matrix, error), seed=seed, accuracy=2e-5)
    assert found is not None
    assert found.lower <= spectrum.min() + 1e-14
    assert spectrum.min() <= found.ritz + 1e-14
    assert found.ritz - found.lower <= 2e-5 + 1e-12
    assert float(found.vector @ matrix @ found.vector) == pytest.approx(found.ritz, abs=1e-12)
    plain = smallest_eigenvalue(matrix.mv, SIZE, seed=seed, accuracy=2e-5)
    assert 3 * found.iterations < plain.iterations


def test_more_than_was_asked_for_is_proven_where_the_basis_allows_it() -> None:
    matrix = symmetric(clustered())
    found = smallest_eigenvalue_near(matrix.matmul, nearly(matrix, 0.0), seed=0, accuracy=2e-5)
    assert found is not None
    assert found.lower <= -1e-5 + 1e-14 and found.ritz - found.lower < 1e-11


def test_accuracy_may_be_relative_and_confidence_has_its_price() -> None:
    matrix = symmetric(clustered() - 3.0)
    basis = nearly(matrix, 1e-5)
    assert smallest_eigenvalue_near(matrix.matmul, basis, seed=0, accuracy=1e-14) is None
    found = [
        smallest_eigenvalue_near(matrix.matmul, basis, seed=0, accuracy=1e-14, relative=1e-4, probability=probability)
        for probability in (0.5, 0.9999)
    ]
    assert found[0] is not None and found[1] is not None
    assert found[0].ritz - found[0].lower <= 3.1e-4
    assert found[0].iterations < found[1].iterations


@pytest.mark.parametrize("probability", [0.99, 0.9999, 1.0 - 1e-9])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 5.0, 100.0])
def test_a_cluster_away_from_zero_is_bracketed_as_well(shift: float, probability: float) -> None:
    """What counts is how the basis is coupled to the rest, not how large its products are, nor for how many steps."""
    spectrum = clustered() + shift
    matrix = symmetric(spectrum)
    found = smallest_eigenvalue_near(
        matrix.matmul, nearly(matrix, 1e-5), seed=0, accuracy=2e-5, probability=probability
    )
    assert found is not None
    rounding = 1e-14 * max(1.0, abs(shift)) * SIZE
    assert found.lower <= spectrum.min() + rounding and spectrum.min() <= found.ritz + rounding


def test_what_the_basis_leaves_out_is_not_overlooked() -> None:
    """One eigenvector fewer: its eigenvalue, the lowest of all, lies outside."""
    matrix = symmetric(clustered(low=-0.01))
    _, vectors = torch.linalg.eigh(matrix)
    assert smallest_eigenvalue_near(matrix.matmul, vectors[:, 1:CLUSTER], seed=0, accuracy=1e-5) is None


def test_a_basis_too_far_off_is_refused() -> None:
    """It could hide more than the accuracy: coupled by 1e-2 to a bulk at .02, eigenvalues may be 5e-3 lower."""
    matrix = symmetric(clustered())
    assert smallest_eigenvalue_near(matrix.matmul, nearly(matrix, 0.1), seed=0, accuracy=1e-5) is None


@pytest.mark.parametrize("seed", range(40))
def test_the_lower_end_holds_for_any_matrix_and_basis(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spectrum = np.sort(rng.standard_normal(60)) * 10.0 ** rng.integers(-2, 3)
    matrix = symmetric(spectrum, seed)
    _, vectors = torch.linalg.eigh(matrix)
    noise = torch.from_numpy(rng.standard_normal((60, 6)))
    basis = torch.linalg.qr(vectors[:, :6] + 10.0 ** rng.uniform(-4, 0) * noise).Q
    span = float(np.ptp(spectrum))
    found = smallest_eigenvalue_near(matrix.matmul, basis, seed=seed, accuracy=0.3 * span, relative=0.1)
    if found is not None:
        assert found.lower <= spectrum[0] + 1e-10 * span
        assert spectrum[0] <= found.ritz + 1e-10 * span
