"""Acceleration against the known fixed point of a linear map."""

from __future__ import annotations

import pytest
import torch

from recsys.closed_form import closed_form
from recsys.closed_form.anderson import fixed_point
from recsys.data import synthetic
from tests.tolerances import CONVERGED64


def linear_map() -> tuple[torch.Tensor, torch.Tensor]:
    """x -> A x + b with a spectral radius of .99, and its fixed point [3, 4]."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64, generator=generator)).Q
    matrix = basis @ torch.linspace(0.1, 0.99, 12).double().diag() @ basis.T
    return matrix, torch.randn(12, dtype=torch.float64, generator=generator)


def test_it_reaches_the_fixed_point_long_before_the_plain_iteration() -> None:
    matrix, shift = linear_map()
    expected = torch.linalg.solve(torch.eye(12).double() - matrix, shift).view(3, 4)
    calls = 0

    def step(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return (matrix @ x.flatten() + shift).view(3, 4)

    start = torch.zeros(3, 4, dtype=torch.float64)
    found = fixed_point(step, start, max_steps=100, tolerance=1e-12, memory=10, plain=2)
    torch.testing.assert_close(found, expected, **CONVERGED64)
    assert calls < 60
    plain = fixed_point(step, start, max_steps=100, tolerance=0.0, memory=10, plain=100)
    assert (plain - expected).norm() > 0.1 * expected.norm()


def test_it_ends_at_the_tolerance_and_at_the_number_of_steps() -> None:
    def halve(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x + 1.0

    start = torch.zeros(2, dtype=torch.float64)
    # |step(x) - x| is 2^-k after k plain steps.
    assert fixed_point(halve, start, max_steps=3, tolerance=0.0, memory=5, plain=9).tolist() == [1.75, 1.75]
    found = fixed_point(halve, start, max_steps=99, tolerance=0.1, memory=5, plain=99)
    assert found.tolist() == [1.875, 1.875]


@pytest.mark.parametrize("seed", [3, 5, 25])
def test_what_led_in_circles_is_dropped(seed: int) -> None:
    """Alternating least squares at a low penalty, which with every difference kept did not settle in 400 sweeps."""
    data = synthetic(12, 10, 40, seed=seed)
    fitted = closed_form("als", data, dim=2, alpha=20.0, l2=0.05, max_sweeps=150, tolerance=1e-10, dtype=torch.float64)
    users, items = fitted.fit().factors()
    known = torch.from_numpy(data.csr().toarray()).double()
    for rows, others, of_rows in ((users, items, known), (items, users, known.T)):
        confidence = 1.0 + 20.0 * of_rows
        normal = torch.einsum("ri,id,ie->rde", confidence, others, others) + 0.05 * torch.eye(2).double()
        right = (confidence * of_rows) @ others
        torch.testing.assert_close(torch.linalg.solve(normal, right), rows, rtol=1e-6, atol=1e-6)
