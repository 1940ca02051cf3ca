"""L-BFGS: where it stops, against minima that are known."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan, sqrt

import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

from unlearn.solvers.landscape import FunctionLandscape, Landscape, Step
from unlearn.solvers.lbfgs import lbfgs


def quadratic(condition: float, n: int = 200) -> tuple[FunctionLandscape, Tensor, Tensor]:
    """Landscape, start and minimiser of a quadratic with spectrum between 1 and `condition`; its minimum is 0."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    matrix = basis @ torch.diag(torch.logspace(0, torch.tensor(condition).log10().item(), n).double()) @ basis.T
    end = torch.randn(n, generator=generator, dtype=torch.float64)

    def function(x: Tensor) -> tuple[float, Tensor]:
        slope = matrix @ (x - end)
        return 0.5 * float(slope @ (x - end)), slope

    return FunctionLandscape(function), torch.zeros(n, dtype=torch.float64), end


@pytest.mark.parametrize(
    ("condition", "accuracy"),
    [(1e2, 0.3), (1e2, 0.1), (1e2, 0.01), (1e2, 1e-4), (1e3, 0.3), (1e3, 0.1), (1e5, 0.3), (1e5, 0.1)],
)
def test_what_is_left_of_the_way_is_about_what_was_asked_for(condition: float, accuracy: float) -> None:
    landscape, start, _ = quadratic(condition)
    first = landscape.start(start)
    solution = lbfgs(landscape, start, accuracy=accuracy)
    assert solution.converged
    assert isnan(solution.residual)
    assert sqrt(max(solution.value, 0.0) / first) < 2.0 * accuracy
    earlier = lbfgs(landscape, start, max_iterations=solution.iterations - 1)
    assert sqrt(earlier.value / first) > 0.9 * accuracy  # and it did not go on for long after that


@pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
def test_of_gains_that_fall_geometrically_what_is_left_is_known(share: float) -> None:
    """The k-th value is share^k above the minimum of 0; nothing else about the function is ever asked for."""

    class Geometric(Landscape):
        point = torch.zeros(1)

        def start(self, x: Tensor) -> float:
            self.value = 1.0
            return self.value

        def gradient(self) -> Tensor:
            return torch.ones(1)

        def search(self, direction: Tensor, slope: float) -> Step:
            self.value *= share
            return Step(1.0, self.value)

    for accuracy in (0.5, 0.1):
        landscape = Geometric()
        solution = lbfgs(landscape, torch.zeros(1), accuracy=accuracy)
        left = max(1.0, (1.0 - share) / share)  # never below the last gain
        assert sqrt(left * solution.value / (1.0 - solution.value)) <= accuracy
        before = solution.value / share
        assert sqrt(left * before / (1.0 - before)) > accuracy or solution.iterations == 2


def test_without_an_accuracy_the_gradient_norm_decides() -> None:
    landscape, start, end = quadratic(100.0)
    solution = lbfgs(landscape, start, tolerance=1e-9)
    assert solution.converged
    assert solution.residual <= 1e-9
    torch.testing.assert_close(solution.x, end, atol=1e-8, rtol=0)
    assert not lbfgs(landscape, start, tolerance=1e-9, max_iterations=3).converged


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_a_minimum_at_zero_is_approached_until_squares_underflow(n: int, dtype: torch.dtype) -> None:
    for spread in (0.01, 0.1, 1.1, 2.0, 10.0, 1000.0):
        for scale in (1.0, 0.1, 1e-3):
            curvatures = scale * torch.linspace(1.0, spread, n, dtype=dtype)

            def function(x: Tensor, by: Tensor = curvatures) -> tuple[float, Tensor]:
                return 0.5 * float(by @ x.square()), by * x

            solution = lbfgs(FunctionLandscape(function), torch.ones(n, dtype=dtype))
            assert float(solution.x.norm()) < 1e-15


def test_a_first_step_is_never_the_last() -> None:
    landscape, start, _ = quadratic(1.0)  # solved by one or two steps
    assert lbfgs(landscape, start, accuracy=0.9).iterations >= 2


def test_a_step_out_of_where_the_function_is_defined_is_shortened() -> None:
    """100 x - log x: the first step, of length 1, ends at a negative x."""

    def function(x: Tensor) -> tuple[float, Tensor]:
        return float((100 * x - x.log()).sum()), 100 - 1 / x

    solution = lbfgs(FunctionLandscape(function), torch.tensor([0.5, 0.02], dtype=torch.float64), tolerance=1e-8)
    assert solution.converged
    torch.testing.assert_close(solution.x, torch.full((2,), 0.01, dtype=torch.float64), atol=1e-9, rtol=0)


def test_it_ends_where_rounding_leaves_nothing_to_gain() -> None:
    """|x|^2 / 2 + 1 in single precision, with gradients that are wrong by more than what is left."""
    generator = torch.Generator().manual_seed(0)

    def function(x: Tensor) -> tuple[float, Tensor]:
        return 1.0 + 0.5 * float(x @ x), x + 1e-3 * torch.randn(len(x), generator=generator)

    residuals: list[float] = []
    solution = lbfgs(FunctionLandscape(function), torch.ones(20), callback=lambda *at: residuals.append(at[2]))
    assert not solution.converged
    assert solution.iterations - residuals.index(min(residuals)) in range(50, 100)


def test_a_curved_valley_is_followed_to_its_end() -> None:
    """Rosenbrock's function, chained: the value falls all the way, the gradient's norm is up and down for hundreds."""

    def function(x: Tensor) -> tuple[float, Tensor]:
        x = x.requires_grad_()
        value = (100 * (x[1:] - x[:-1].square()).square() + (1 - x[:-1]).square()).sum()
        return value.item(), torch.autograd.grad(value, x)[0]

    start = torch.tensor([1.2, -1.0], dtype=torch.float64).repeat(50)
    solution = lbfgs(FunctionLandscape(function), start, tolerance=1e-8)
    assert solution.converged
    torch.testing.assert_close(solution.x, torch.ones_like(start), atol=1e-8, rtol=0)


def test_a_direction_that_finds_nothing_lower_costs_the_memory_and_not_the_search() -> None:
    class Refusing(FunctionLandscape):
        searches = 0

        def search(self, direction: Tensor, slope: float) -> Step:
            self.searches += 1
            return Step(0.0, self._value) if self.searches == 5 else super().search(direction, slope)

    whole, start, end = quadratic(100.0)
    landscape = Refusing(whole._function)
    solution = lbfgs(landscape, start, tolerance=1e-9)
    assert solution.converged and landscape.searches > 6
    torch.testing.assert_close(solution.x, end, atol=1e-8, rtol=0)


# ---- the search along a line ----------------------------------------------------------------------------------------


def along(value: Callable[[float], float], slope: Callable[[float], float]) -> tuple[FunctionLandscape, list[float]]:
    """A function of one number, at 0, and the numbers at which it is asked."""
    asked: list[float] = []

    def function(x: Tensor) -> tuple[float, Tensor]:
        asked.append(float(x))
        return float(value(x.item())), torch.tensor([float(slope(x.item()))], dtype=torch.float64)

    landscape = FunctionLandscape(function)
    landscape.start(torch.zeros(1, dtype=torch.float64))
    return landscape, asked


def test_too_long_a_step_is_followed_by_the_minimum_of_the_parabola() -> None:
    landscape, asked = along(lambda x: (x - 0.3) ** 2, lambda x: 2.0 * (x - 0.3))
    step = landscape.search(torch.ones(1, dtype=torch.float64), -0.6)
    assert asked == pytest.approx([0.0, 1.0, 0.3]) and landscape.evaluations == len(asked)
    assert step.length == pytest.approx(0.3) and step.value == pytest.approx(0.0)


def test_a_flat_place_above_a_lower_one_is_not_where_it_ends() -> None:
    """Steep at 1 and at -1, flat at 2 and at -.5: low enough for Armijo, flat enough for Wolfe, and higher."""
    curve = CubicHermiteSpline([0.0, 1.0, 2.0, 9.0], [0.0, -1.0, -0.5, -0.5], [-1.0, -1.0, 0.0, 0.0])
    landscape, asked = along(curve, curve.derivative())
    step = landscape.search(torch.ones(1, dtype=torch.float64), -1.0)
    assert asked[:3] == [0.0, 1.0, 2.0]
    assert 1.0 < step.length < 2.0 and step.value < -1.0
    assert abs(float(curve.derivative()(step.length))) <= 0.9


def test_where_values_have_no_digits_left_the_slope_says_which_step_is_better() -> None:
    """So short a direction that 20 doublings do not come to an end of it."""
    landscape, _ = along(lambda x: 1e9, lambda x: x - 1.0)
    step = landscape.search(torch.tensor([1e-9], dtype=torch.float64), -1e-9)
    assert step.length == 2.0**19 and float(landscape.gradient()) == pytest.approx(2.0**19 * 1e-9 - 1.0)
