"""Newton-CG against closed forms, a hard valley and a factorisation with flat directions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tolerances import CONVERGED64
from tests.unlearn.solvers.functions import Function, derivatives, factorisation
from unlearn.solvers.newton_cg import newton_cg


def rosenbrock(x: Tensor) -> Tensor:
    return (100.0 * (x[1:] - x[:-1].square()).square() + (1.0 - x[:-1]).square()).sum()


def quadratic(n: int = 20, condition: float = 1e4) -> tuple[Tensor, Tensor, Function]:
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
    matrix = (basis * torch.logspace(0, math.log10(condition), n, dtype=torch.float64)) @ basis.T
    matrix = 0.5 * (matrix + matrix.T)
    right = torch.randn(n, dtype=torch.float64, generator=generator)
    return matrix, right, lambda x: 0.5 * x @ matrix @ x - right @ x


def test_quadratic_is_solved_exactly() -> None:
    matrix, right, function = quadratic()
    start = torch.zeros(20, dtype=torch.float64)
    found = newton_cg(*derivatives(function), start, tolerance=1e-10)
    assert found.converged
    assert found.iterations <= 12
    torch.testing.assert_close(found.x, torch.linalg.solve(matrix, right), **CONVERGED64)
    assert found.value == pytest.approx(float(function(found.x)), rel=1e-12)
    assert torch.equal(start, torch.zeros(20, dtype=torch.float64)), "the start was overwritten"


@pytest.mark.parametrize("n", [2, 10])
def test_rosenbrock(n: int) -> None:
    start = torch.full((n,), -1.2, dtype=torch.float64)
    values: list[float] = []
    found = newton_cg(*derivatives(rosenbrock), start, tolerance=1e-9, callback=lambda _i, v, _r: values.append(v))
    assert found.converged
    assert all(b <= a + 1e-15 for a, b in itertools.pairwise(values)), "a step raised the objective"
    if n == 2:
        torch.testing.assert_close(found.x, torch.ones(n, dtype=torch.float64), **CONVERGED64)


def test_convergence_is_superlinear() -> None:
    residuals: list[float] = []
    start = torch.tensor([0.9, 0.9], dtype=torch.float64)
    newton_cg(*derivatives(rosenbrock), start, tolerance=1e-12, callback=lambda _i, _v, r: residuals.append(r))
    assert residuals[-1] < 1e-12
    assert len([r for r in residuals if r < 1e-2]) <= 6
    assert residuals[-1] < residuals[-2] ** 1.4


@pytest.mark.parametrize("scale", [1e-6, 0.1, 3.0], ids=["by the saddle", "near", "far"])
@pytest.mark.parametrize("width", [3, 6])
def test_flat_directions_and_the_saddle_never_explode(width: int, scale: float) -> None:
    function, target = factorisation(3, width)
    generator = torch.Generator().manual_seed(2)
    start = scale * torch.randn(16 * width, dtype=torch.float64, generator=generator)
    norms: list[float] = []
    value_and_gradient, product = derivatives(function)

    def watched(x: Tensor) -> tuple[float, Tensor]:
        norms.append(float(x.norm()))
        return value_and_gradient(x)

    found = newton_cg(watched, product, start, tolerance=1e-9, max_iterations=300)
    assert found.converged
    assert max(norms) < 10.0 * max(float(start.norm()), float(target.norm()))
    # closed form: the singular values of the solution are those of the target, soft-thresholded
    left, values, right = torch.linalg.svd(target, full_matrices=False)
    expected = (left * (values - 0.1).clamp(min=0.0)) @ right
    a, b = found.x.view(16, width).split([9, 7])
    torch.testing.assert_close(a @ b.T, expected, **CONVERGED64)


def test_rotating_the_start_rotates_the_path() -> None:
    function, _ = factorisation(3, 4)
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(16, 4, dtype=torch.float64, generator=generator)
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=generator))
    one, other = (
        newton_cg(*derivatives(function), s.reshape(-1), max_iterations=3).x.view(16, 4)
        for s in (start, start @ rotation)
    )
    torch.testing.assert_close(one @ rotation, other, **CONVERGED64)


def test_unbounded_negative_curvature_is_followed_at_growing_radius() -> None:
    def function(x: Tensor) -> Tensor:
        return -0.5 * x.square().sum()

    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = newton_cg(*derivatives(function), start, radius=0.5, max_iterations=4)
    torch.testing.assert_close(found.x, torch.tensor([1.0 + 0.5 + 1.0 + 2.0 + 4.0, 0.0], dtype=torch.float64))


def test_the_region_grows_by_steps_that_it_held_back_alone() -> None:
    """The first step ends inside of it, at (1, 0); the second follows y down to its boundary."""
    path: list[Tensor] = []
    value_and_gradient, product = derivatives(lambda x: 0.5 * (x[0] - 1.0) ** 2 + 0.1 * x[0] * x[1] - x[1] ** 2)

    def watched(x: Tensor) -> tuple[float, Tensor]:
        path.append(x)
        return value_and_gradient(x)

    newton_cg(watched, product, torch.zeros(2, dtype=torch.float64), radius=2.0, max_iterations=2)
    torch.testing.assert_close(path[1], torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert float((path[2] - path[1]).norm()) == pytest.approx(2.0)


def test_a_step_that_fails_shrinks_the_region_below_its_own_length() -> None:
    """Newton's step on sqrt(1 + x^2) from 3 is 30 long and goes up."""
    path: list[float] = []
    value_and_gradient, product = derivatives(lambda x: (1.0 + x.square()).sqrt().sum())

    def watched(x: Tensor) -> tuple[float, Tensor]:
        path.append(float(x))
        return value_and_gradient(x)

    start = torch.full((1,), 3.0, dtype=torch.float64)
    assert newton_cg(watched, product, start, radius=1e6, tolerance=1e-9).converged
    assert path[1] == pytest.approx(-27.0)
    assert path[2] == pytest.approx(3.0 - 7.5)


def test_polishes_to_rounding_in_single_precision() -> None:
    """f has no digits left to compare there; the gradient still falls, and the run ends by itself."""
    matrix, right, function = quadratic(20, 100.0)
    offset = 1e6

    def single(x: Tensor) -> Tensor:
        return 0.5 * x @ matrix.to(x.dtype) @ x - right.to(x.dtype) @ x + offset

    start = torch.zeros(20)
    found = newton_cg(*derivatives(single), start, max_iterations=60)
    assert found.iterations < 60
    assert found.residual < 1e-4
    torch.testing.assert_close(found.x.double(), torch.linalg.solve(matrix, right), rtol=0.0, atol=1e-3)
    assert float(function(found.x.double())) < 0.0


def test_infinite_trials_shrink_the_region() -> None:
    def barrier(x: Tensor) -> Tensor:
        return (x - torch.log(x)).sum()

    start = torch.tensor([0.05, 3.0], dtype=torch.float64)
    found = newton_cg(*derivatives(barrier), start, tolerance=1e-10, radius=100.0)
    torch.testing.assert_close(found.x, torch.ones(2, dtype=torch.float64), **CONVERGED64)


def test_gradients_may_come_in_a_buffer_that_is_used_again() -> None:
    value_and_gradient, product = derivatives(rosenbrock)
    buffer = torch.empty(4, dtype=torch.float64)

    def reusing(x: Tensor) -> tuple[float, Tensor]:
        value, gradient = value_and_gradient(x)
        return value, buffer.copy_(gradient)

    start = torch.full((4,), -1.2, dtype=torch.float64)
    plain, reused = (newton_cg(one, product, start, max_iterations=8) for one in (value_and_gradient, reusing))
    assert torch.equal(plain.x, reused.x) and plain.residual == reused.residual


def test_evaluations_are_gradients_and_products() -> None:
    calls = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Tensor) -> Any:
            nonlocal calls
            calls += 1
            return function(*arguments)

        return call

    value_and_gradient, product = derivatives(rosenbrock)
    start = torch.full((4,), -1.2, dtype=torch.float64)
    found = newton_cg(counted(value_and_gradient), counted(product), start, max_iterations=5)
    assert found.evaluations == calls > 10


def test_limits_and_callback_stop_it() -> None:
    start = torch.full((10,), -1.2, dtype=torch.float64)
    assert newton_cg(*derivatives(rosenbrock), start, max_iterations=0).iterations == 0
    stopped = newton_cg(*derivatives(rosenbrock), start, callback=lambda i, _v, _r: i == 3)
    assert stopped.iterations == 3
    assert not stopped.converged
    few = newton_cg(*derivatives(rosenbrock), start, max_iterations=5, max_products=2)
    assert few.evaluations <= 1 + 5 * 3


def test_wrong_arguments_are_all_named() -> None:
    with pytest.raises(ValueError) as error:
        newton_cg(
            *derivatives(rosenbrock), torch.zeros(2), tolerance=-1.0, max_iterations=-1, max_products=0, radius=0.0
        )
    for name in ("tolerance", "max_iterations", "max_products", "radius"):
        assert f"`{name}` must be" in str(error.value)

    def infinite(x: Tensor) -> Tensor:
        return x.sum() * math.inf

    with pytest.raises(ValueError, match="finite"):
        newton_cg(*derivatives(infinite), torch.ones(2, dtype=torch.float64))
