"""The rotations of a table, against their explicit basis."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from torch import Tensor

from tests.tolerances import CONVERGED64
from tests.unlearn.solvers.functions import derivatives, factorisation
from unlearn.solvers.gauge import rotation_projection
from unlearn.solvers.newton_cg import newton_cg
from unlearn.solvers.operator import Map, Operator
from unlearn.solvers.trust_region import trust_region_step


def table(n: int, d: int, *, rank: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    rank = rank or d
    left, right = (torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((n, rank), (rank, d)))
    return left @ right


def rotations(matrix: Tensor) -> Tensor:
    """All E A [d (d - 1) / 2, n d], for the elementary antisymmetric A."""
    d = matrix.shape[1]
    out: list[Tensor] = []
    for i, j in itertools.combinations(range(d), 2):
        antisymmetric = torch.zeros(d, d, dtype=torch.float64)
        antisymmetric[i, j], antisymmetric[j, i] = 1.0, -1.0
        out.append((matrix @ antisymmetric).reshape(-1))
    return torch.stack(out)


@pytest.mark.parametrize("rank", [4, 3, 2, 1])
def test_it_is_the_orthogonal_projection(rank: int) -> None:
    """Below full rank some rotations do nothing and others coincide; the projection is the same formula."""
    matrix = table(9, 4, rank=rank)
    flat = rotations(matrix)
    project = rotation_projection(matrix)
    found = torch.stack([project(column) for column in torch.eye(36, dtype=torch.float64)], 1)
    expected = torch.eye(36, dtype=torch.float64) - torch.linalg.pinv(flat, rtol=1e-10) @ flat
    torch.testing.assert_close(found, expected, **CONVERGED64)
    assert torch.linalg.matrix_rank(flat, rtol=1e-10) == 36 - round(float(found.trace()))
    torch.testing.assert_close(project(flat[0]), torch.zeros(36, dtype=torch.float64), **CONVERGED64)


def test_single_precision_and_a_zero_table() -> None:
    matrix = table(50, 8)
    vector = torch.randn(400, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    exact, single = rotation_projection(matrix)(vector), rotation_projection(matrix.float())(vector.float())
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rotation_projection(torch.zeros(50, 8))(vector.float()), vector.float())


def test_newton_takes_no_step_along_it() -> None:
    """Beside a solution the Hessian leads into the rotations; projected steps never have a part there."""
    function, _ = factorisation(3, 4)
    noise = torch.randn(2, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def projection(x: Tensor) -> Map:
        return rotation_projection(x.view(16, 4))

    solved = newton_cg(*derivatives(function), noise[0], tolerance=1e-9, projection=projection)
    assert solved.converged
    x = solved.x + 0.1 * noise[1]
    value_and_gradient, product = derivatives(function)
    hessian, (_, gradient) = Operator(partial(product, x), 64), value_and_gradient(x)
    turned: list[float] = []
    for chosen in (None, projection(x)):
        step = trust_region_step(hessian, gradient, 10.0, tolerance=1e-6, project=chosen).step
        turned.append(float((step - projection(x)(step)).norm() / step.norm()))
    assert turned[0] > 1e-3
    assert turned[1] < 1e-12


def test_it_takes_a_matrix() -> None:
    with pytest.raises(ValueError, match=r"must be a matrix.*\[3\]"):
        rotation_projection(torch.ones(3))
