"""A symmetric matrix that is known by its products alone, and what every linear solver returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unlearn.solvers.lanczos import smallest_eigenvalue

Map = Callable[[Tensor], Tensor]
"""A linear map on vectors [p]: a preconditioner, a projection."""

Damping = float | Tensor
"""What is added to the diagonal: one number, or a vector [p]."""


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """A symmetric matrix [size, size], applied by calling it on a vector [size] of its dtype and on its device."""

    product: Map
    size: int
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"

    def __call__(self, vector: Tensor) -> Tensor:
        return self.product(vector)

    @classmethod
    def of(cls, matrix: Tensor) -> Operator:
        """The products of a symmetric matrix [p, p] that is at hand."""
        return cls(matrix.mv, len(matrix), matrix.dtype, matrix.device)

    def matrix(self) -> Tensor:
        """The matrix itself [p, p], by p products."""
        identity = torch.eye(self.size, dtype=self.dtype, device=self.device)
        return torch.stack([self.product(column).clone() for column in identity], 1)

    def largest_eigenvalue(self, *, seed: int = 0) -> float:
        """A number that no eigenvalue exceeds, with probability 0.999 over the random start of a Lanczos run.

        It is above the largest by a tenth of it, or by what 40 products leave. Memory: up to 41 vectors of float64;
        twenty suffice at a million parameters.
        """

        def negated(vector: Tensor) -> Tensor:
            return -self.product(vector.to(self.dtype))

        found = smallest_eigenvalue(
            negated,
            self.size,
            seed=seed,
            accuracy=float(torch.finfo(torch.float64).tiny),
            relative=0.1,
            probability=0.999,
            max_iterations=40,
            device=self.device,
        )
        return -found.lower


@dataclass(frozen=True, slots=True, eq=False)
class Solve:
    """An approximate solution x [p] of (A + damping) x = b.

    `residual` is |b - (A + damping) x| / |b|, by a product of its own; `residuals` are those that the solver went by,
    the start's first. `negative_curvature` is a direction v [p] with v . (A + damping) v <= 0 where one was met: x is
    then what was reached before it, and no minimiser of anything.
    """

    x: Tensor
    residual: float
    iterations: int
    converged: bool
    negative_curvature: Tensor | None = field(default=None, repr=False)
    residuals: tuple[float, ...] = field(default=(), repr=False)


def damped(operator: Operator, damping: Damping) -> Map:
    """Products with A + damping."""
    if isinstance(damping, float | int) and damping == 0.0:
        return operator.product
    return lambda vector: operator.product(vector) + damping * vector


def damping_problem(damping: Damping, caller: str) -> list[str]:
    """What is wrong with a damping, as a list of no line or one."""
    lowest = float(damping.min()) if isinstance(damping, Tensor) else damping
    return [] if lowest >= 0.0 else [f"`damping` must be at least 0 for `{caller}` (got {lowest})"]
