"""An objective as a solver sees it: one vector, its gradient, and a search along a line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """What a line search did: the step length taken (0 if none lowered the objective) and the new value."""

    length: float
    value: float


def rounding(x: Tensor, value: float) -> float:
    """How far rounding may move the value of a function that is computed in the precision of `x`."""
    return (1e-7 if x.dtype == torch.float32 else 1e-14) * abs(value)


class Landscape(ABC):
    """A function of a vector x [p], held at one point at a time.

    Keeping the point inside lets an implementation reuse what it computed there: `search` may hand the
    intermediate results of its last evaluation to the `gradient` that follows.
    """

    evaluations: int = 0  # gradient-sized evaluations so far

    @abstractmethod
    def start(self, x: Tensor) -> float:
        """Move to `x` (copied) and return the value there."""

    @property
    @abstractmethod
    def point(self) -> Tensor:
        """The current x [p]; valid until the next `search` or `start`."""

    @abstractmethod
    def gradient(self) -> Tensor:
        """The gradient [p] at the current point; valid until the next call."""

    @abstractmethod
    def search(self, direction: Tensor, slope: float) -> Step:
        """Move along `direction` [p], along which the derivative is `slope` < 0, to a lower value."""

    def way(self, gained: float) -> float:
        """The way made so far, as an amount of the objective, to compare what is left to gain with.

        The default is what the objective has `gained` since the start. Override it where the way can be measured by
        what the objective is about.
        """
        return gained

    def precondition(self, vector: Tensor) -> Tensor:
        """An approximate inverse Hessian times `vector` [p]; positive definite. The default is the identity."""
        return vector

    @property
    def preconditioned(self) -> bool:
        """Whether `precondition` carries the scale of the inverse Hessian."""
        return type(self).precondition is not Landscape.precondition


class FunctionLandscape(Landscape):
    """Any differentiable function, searched by bracketing for the strong Wolfe conditions.

    Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6, with quadratic interpolation.
    """

    armijo, wolfe = 1e-4, 0.9
    max_trials = 20

    def __init__(self, value_and_gradient: Callable[[Tensor], tuple[float, Tensor]]) -> None:
        self._function = value_and_gradient

    def start(self, x: Tensor) -> float:
        self._x = x.clone()
        self.evaluations = 1
        self._value, self._gradient = self._function(self._x)
        return self._value

    @property
    def point(self) -> Tensor:
        return self._x

    def gradient(self) -> Tensor:
        return self._gradient

    def search(self, direction: Tensor, slope: float) -> Step:
        origin, value0 = self._x, self._value
        noise = rounding(origin, value0)
        low, low_value, low_slope, high = 0.0, value0, slope, float("inf")
        best = (0.0, value0, self._gradient)
        length = 1.0
        for _ in range(self.max_trials):
            value, gradient = self._function(origin + length * direction)
            self.evaluations += 1
            derivative = float(gradient @ direction)
            if value < best[1] or (value <= value0 + noise and abs(derivative) < abs(slope)):
                best = (length, value, gradient)
            # Written so that NaN, outside of where the function is defined, is too high.
            lowered = value <= value0 + self.armijo * length * slope + noise
            if not lowered or (low > 0 and value > low_value + noise):
                high = length
            elif abs(derivative) <= self.wolfe * abs(slope):
                best = (length, value, gradient)
                break
            elif derivative > 0:
                high = length
            else:
                low, low_value, low_slope = length, value, derivative
            if high == float("inf"):
                length *= 2.0
            else:
                length = _interpolate(low, low_value, low_slope, length, value, high)
            if high - low < 1e-10:
                break
        length, self._value, self._gradient = best
        self._x = origin + length * direction
        return Step(length, self._value)


def _interpolate(low: float, low_value: float, low_slope: float, at: float, value: float, high: float) -> float:
    """Minimiser of the parabola through the lower end's value and slope and one more value, kept inside the bracket."""
    curvature = 2.0 * (value - low_value - low_slope * (at - low)) / max((at - low) ** 2, 1e-300)
    guess = low - low_slope / curvature if curvature > 0 else 0.5 * (low + high)
    margin = 0.1 * (high - low)
    return min(max(guess, low + margin), high - margin)
