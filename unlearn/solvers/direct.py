"""The explicit solve: the slow truth for the other solvers, and the quickest for a few hundred unknowns."""

from __future__ import annotations

import torch
from torch import Tensor

from unlearn.solvers.operator import Damping, Operator, Solve, damped, damping_problem
from unlearn.solvers.vectors import norm

_LIMIT = 5000


def direct(operator: Operator, b: Tensor, *, damping: Damping = 0.0) -> Solve:
    """Solve (A + damping) x = b by an LU factorisation of the whole matrix, positive definite or not.

    `negative_curvature` is the eigenvector of the smallest eigenvalue where that is 0 or less; x is then still the
    solution, a stationary point of 1/2 x . A x - b . x and no minimum.

    Memory and time: p^2 numbers, p products and p^3 operations; for at most 5,000 unknowns.

    Raises:
        ValueError: there are more unknowns, `damping` is negative, or A + damping is singular, up to rounding.
    """
    wrong = damping_problem(damping, "direct")
    if operator.size > _LIMIT:
        wrong.append(f"`operator` must have at most {_LIMIT} unknowns for `direct` (got {operator.size}); take `cg`")
    if wrong:
        raise ValueError("\n".join(wrong))
    matrix = operator.matrix()
    matrix = 0.5 * (matrix + matrix.T)
    matrix.diagonal().add_(damping)
    values, vectors = torch.linalg.eigh(matrix)
    sizes = values.abs()
    if float(sizes.min()) <= 10.0 * torch.finfo(matrix.dtype).eps * float(sizes.max()):  # no digit of x would be right
        raise ValueError("`operator` with the damping must not be singular for `direct`; raise `damping`")
    x = torch.linalg.solve(matrix, b)
    size = norm(b)
    return Solve(
        x=x,
        residual=norm(b - damped(operator, damping)(x)) / size if size else 0.0,
        iterations=1,
        converged=True,
        negative_curvature=vectors[:, 0] if values[0] <= 0.0 else None,
    )
