"""The randomised Nystrom approximation of a positive semidefinite matrix, as an inverse and as a preconditioner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn.solvers.operator import Map, Operator
from unlearn.streams import normals


class Indefinite(ValueError):
    """The matrix has negative eigenvalues where only positive ones are allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Nystrom:
    """A ~ U diag(values) U^T with U [p, r] orthonormal and values [r] in descending order, none negative."""

    basis: Tensor
    values: Tensor

    def solve(self, b: Tensor, damping: float) -> Tensor:
        """(U diag(values) U^T + damping I)^-1 b: exact on what the approximation sees, b / damping on the rest."""
        _check_damping(damping, "solve")
        inside = self.basis.T @ b
        return b / damping + self.basis @ (inside / (self.values + damping) - inside / damping)

    def preconditioner(self, damping: float) -> Map:
        """An approximate inverse of A + damping for `cg`; scaled to 1 on what the approximation does not see.

        P^-1 = (l_r + damping) U (diag(values) + damping)^-1 U^T + I - U U^T, with l_r the smallest of the values. The
        condition number it leaves is bounded by a constant in expectation once the rank is twice the effective
        dimension tr(A (A + damping)^-1) (Frangella, Tropp and Udell, theorem 1.1).
        """
        _check_damping(damping, "preconditioner")
        weights = (self.values[-1] + damping) / (self.values + damping) - 1.0
        return lambda vector: vector + self.basis @ (weights * (self.basis.T @ vector))


def nystrom(operator: Operator, rank: int, *, seed: int = 0) -> Nystrom:
    """The rank-r Nystrom approximation A<r> = (A W)(W^T A W)^+ (A W)^T for a random orthonormal W [p, r].

    Frangella, Tropp and Udell, "Randomized Nystrom preconditioning", 2021, arXiv 2110.02820, algorithm 2.1: A is
    shifted by nu = sqrt(p) eps |A W|, so that a Cholesky factor of W^T A W exists, and the shift is taken off the
    eigenvalues again. A<r> never exceeds A.

    Memory: 3 r p numbers while it is built, r p afterwards; r products, p r^2 operations.

    **Differences from the paper:** the sketch is drawn by `unlearn.streams`, a column at a time.

    Raises:
        Indefinite: W^T A W has a negative eigenvalue beyond rounding, and then so has A.
        ValueError: `rank` is out of range.
    """
    if not 1 <= rank <= operator.size:
        raise ValueError(f"`rank` must lie in [1, {operator.size}] for `nystrom` (got {rank})")
    columns = [normals(seed, "nystrom", np.arange(operator.size), column) for column in range(rank)]
    sketch = torch.from_numpy(np.stack(columns, 1)).to(operator.device, operator.dtype)
    sketch = torch.linalg.qr(sketch).Q
    image = torch.stack([operator(column).clone() for column in sketch.T.contiguous()], 1)
    shift = float(operator.size**0.5 * torch.finfo(operator.dtype).eps * torch.linalg.matrix_norm(image))
    image.add_(sketch, alpha=shift)
    core = sketch.T @ image
    values, vectors = torch.linalg.eigh(0.5 * (core + core.T))
    if float(values[0]) < -100.0 * shift:
        raise Indefinite(
            f"`operator` must have no negative eigenvalue for `nystrom` (got a Rayleigh quotient of {values[0]:.3g}); "
            "take Gauss-Newton products, or give it an operator with the damping added"
        )
    # The symmetric root in place of Cholesky's: the same left singular vectors, and it never fails.
    half = image @ (vectors / values.clamp(min=shift or 1.0).sqrt())
    basis, singular, _ = torch.linalg.svd(half, full_matrices=False)
    return Nystrom(basis, (singular.square() - shift).clamp(min=0.0))


def _check_damping(damping: float, caller: str) -> None:
    if not damping > 0.0:
        raise ValueError(f"`damping` must be a positive number for `Nystrom.{caller}` (got {damping})")
