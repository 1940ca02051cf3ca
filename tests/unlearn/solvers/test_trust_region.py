"""Bounded Newton steps against the exact minimiser of the model in the ball."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.solvers.matrices import right_side, spectrum, symmetric
from unlearn.solvers.operator import Operator
from unlearn.solvers.trust_region import ModelStep, decrease_ratio, levenberg_marquardt_step, trust_region_step

N = 30
TIGHT = 1e-12


def model(matrix: Tensor, gradient: Tensor, step: Tensor) -> float:
    return float(gradient @ step + 0.5 * step @ matrix @ step)


def exact_minimum(matrix: Tensor, gradient: Tensor, radius: float) -> float:
    """The least model value in the ball, by bisection on the multiplier (More and Sorensen, 1983)."""
    values, vectors = torch.linalg.eigh(matrix)
    inner = vectors.T @ gradient
    if float(values[0]) > 0.0 and float((inner / values).norm()) <= radius:
        return model(matrix, gradient, -vectors @ (inner / values))
    low, high = max(0.0, -float(values[0])), float(gradient.norm()) / radius + float(values.abs().max())
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if float((inner / (values + middle)).norm()) > radius else (low, middle)
    return model(matrix, gradient, -vectors @ (inner / (values + high)))


def test_a_step_inside_the_region_is_newtons() -> None:
    matrix, gradient = symmetric(spectrum(N, 100.0)), right_side(N)
    newton = -torch.linalg.solve(matrix, gradient)
    found = trust_region_step(Operator.of(matrix), gradient, 2.0 * float(newton.norm()), tolerance=TIGHT)
    torch.testing.assert_close(found.step, newton, **CONVERGED64)
    assert found.decrease == pytest.approx(0.5 * float(gradient @ torch.linalg.solve(matrix, gradient)), rel=1e-9)
    assert (found.boundary, found.negative_curvature) == (False, False)


@pytest.mark.parametrize("lowest", [1e-2, 0.0, -0.5], ids=["convex", "flat", "indefinite"])
@pytest.mark.parametrize("radius", [0.1, 1.0, 10.0])
def test_a_step_at_the_boundary_takes_most_of_what_is_there(lowest: float, radius: float) -> None:
    values = spectrum(N, 100.0)
    values[-1] = lowest
    matrix, gradient = symmetric(values), right_side(N)
    found = trust_region_step(Operator.of(matrix), gradient, radius, tolerance=TIGHT)
    assert found.boundary
    assert float(found.step.norm()) == pytest.approx(radius, rel=1e-9)
    assert found.length == pytest.approx(radius)
    assert found.decrease == pytest.approx(-model(matrix, gradient, found.step), rel=1e-9)
    # Steihaug's step in a convex model has at least half the decrease of the best one (Yuan, 2000).
    least = -exact_minimum(matrix, gradient, radius)
    assert found.decrease <= least * (1.0 + 1e-9)
    assert found.decrease >= (0.5 if lowest >= 0.0 else 0.3) * least


def test_negative_curvature_is_followed_and_said() -> None:
    values = spectrum(N, 100.0)
    values[:2] = torch.tensor([-1.0, -0.2], dtype=torch.float64)
    matrix, gradient = symmetric(values), right_side(N)
    found = trust_region_step(Operator.of(matrix), gradient, 500.0)
    assert found.negative_curvature and found.boundary
    assert found.decrease > 0.0


def test_what_has_no_curvature_is_followed_to_the_boundary_and_damped_away() -> None:
    nothing, gradient = Operator.of(torch.zeros(2, 2, dtype=torch.float64)), torch.tensor([3.0, 4.0]).double()
    found = trust_region_step(nothing, gradient, 2.0)
    torch.testing.assert_close(found.step, -0.4 * gradient, **EXACT64)
    assert (found.decrease, found.boundary, found.negative_curvature) == (pytest.approx(10.0), True, True)


def test_with_a_preconditioner_the_radius_is_in_its_norm() -> None:
    matrix, gradient = symmetric(spectrum(N, 1e4)), right_side(N)
    scale = torch.linspace(0.1, 5.0, N, dtype=torch.float64)
    newton = -torch.linalg.solve(matrix, gradient)
    wide = 2.0 * float((newton.square() / scale).sum().sqrt())
    free = trust_region_step(
        Operator.of(matrix), gradient, wide, tolerance=TIGHT, preconditioner=scale.mul, max_products=500
    )
    assert not free.boundary
    torch.testing.assert_close(free.step, newton, rtol=1e-5, atol=1e-5)
    assert free.length == pytest.approx(0.5 * wide, rel=1e-5)
    bound = trust_region_step(
        Operator.of(matrix), gradient, 0.2 * wide, tolerance=TIGHT, preconditioner=scale.mul, max_products=500
    )
    assert bound.boundary
    assert float((bound.step.square() / scale).sum().sqrt()) == pytest.approx(0.2 * wide, rel=1e-6)


def test_levenberg_marquardt_is_the_damped_solution() -> None:
    matrix, gradient = symmetric(spectrum(N, 1e4)), right_side(N)
    found = levenberg_marquardt_step(Operator.of(matrix), gradient, 0.05, tolerance=TIGHT)
    expected = -torch.linalg.solve(matrix + 0.05 * torch.eye(N, dtype=torch.float64), gradient)
    torch.testing.assert_close(found.step, expected, **CONVERGED64)
    assert found.decrease == pytest.approx(-model(matrix, gradient, expected), rel=1e-9)
    assert (found.damping, found.negative_curvature) == (0.05, False)


def test_levenberg_marquardt_damps_negative_curvature_away() -> None:
    values = spectrum(N, 100.0)
    values[-1] = -0.7
    matrix, gradient = symmetric(values), right_side(N)
    found = levenberg_marquardt_step(Operator.of(matrix), gradient, 1e-3, tolerance=TIGHT)
    assert found.negative_curvature
    assert 0.7 < found.damping < 10.0
    expected = -torch.linalg.solve(matrix + found.damping * torch.eye(N, dtype=torch.float64), gradient)
    torch.testing.assert_close(found.step, expected, **CONVERGED64)
    assert found.decrease > 0.0


def test_levenberg_marquardt_damps_at_once_by_twice_the_curvature_found() -> None:
    found = levenberg_marquardt_step(Operator.of(-700.0 * torch.eye(N, dtype=torch.float64)), right_side(N), 1e-3)
    assert found.damping == pytest.approx(1400.0, rel=1e-12)
    assert found.products == 3  # to meet it, to measure it, and the step
    little = levenberg_marquardt_step(Operator.of(-1.1 * torch.eye(N, dtype=torch.float64)), right_side(N), 1.0)
    assert little.damping == 4.0  # which is more than that


def test_the_ratio_is_one_for_a_quadratic_whatever_it_is_taken_from() -> None:
    matrix, gradient = symmetric(spectrum(N, 100.0)), right_side(N)
    step = trust_region_step(Operator.of(matrix), gradient, 1.0)
    after = gradient + matrix @ step.step
    for offset in (0.0, 1e13):  # with the offset no digit of the decrease is left in the values
        value = offset
        new = offset - step.decrease
        assert decrease_ratio(value, gradient, new, after, step) == pytest.approx(1.0, rel=1e-9)
    assert decrease_ratio(0.0, gradient, math.nan, after, step) == -math.inf
    assert decrease_ratio(0.0, gradient, -step.decrease, after * math.nan, step) == -math.inf
    still = ModelStep(0.0 * gradient, 0.0, 0.0, 0, negative_curvature=False)
    assert decrease_ratio(0.0, gradient, 0.0, gradient, still) == -math.inf
    uphill = ModelStep(gradient, 1.0, -1.0, 1, negative_curvature=False)
    assert decrease_ratio(0.0, gradient, -1.0, after, uphill) == -math.inf


def test_a_projected_step_stays_in_its_subspace() -> None:
    matrix, gradient = symmetric(torch.linspace(-1.0, 1.0, N)), right_side(N)
    keep = torch.zeros(N, dtype=torch.float64)
    keep[: N // 2] = 1.0
    for step in (
        trust_region_step(Operator.of(matrix), gradient, 0.5, project=keep.mul),
        levenberg_marquardt_step(Operator.of(matrix), gradient, 0.1, project=keep.mul),
    ):
        assert float(step.step[N // 2 :].norm()) == 0.0
        assert step.decrease == pytest.approx(-model(matrix, gradient, step.step), rel=1e-9)


def test_no_gradient_no_step_and_wrong_arguments_are_named() -> None:
    operator, zero = Operator.of(torch.eye(3, dtype=torch.float64)), torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(trust_region_step(operator, zero, 1.0).step, zero, **EXACT64)
    with pytest.raises(ValueError, match="`radius` must be"):
        trust_region_step(operator, zero, 0.0)
    with pytest.raises(ValueError, match="`damping` must be"):
        levenberg_marquardt_step(operator, zero, 0.0)
