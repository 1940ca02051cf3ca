"""A proven lower end for the smallest eigenvalue, where its eigenvectors are known almost."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from unlearn.solvers.lanczos import Extreme, smallest_eigenvalue


def smallest_eigenvalue_near(
    product: Callable[[Tensor], Tensor],
    basis: Tensor,
    *,
    seed: int,
    accuracy: float,
    relative: float = 0.0,
    probability: float = 0.99,
    max_iterations: int = 1000,
) -> Extreme | None:
    """Bracket the smallest eigenvalue of the symmetric Q [n, n], whose lowest eigenvectors nearly span `basis`.

    A cluster at the lower end costs Lanczos' method as many products as resolve it. With U = `basis` orthonormal,
    A = U^T Q U, C = (I - U U^T) Q U, and every eigenvalue of Q on the complement of U at least b (found by
    `smallest_eigenvalue` there, where the cluster is gone), Q - m is positive semidefinite for every m < b with

        A - m - C^T C / (b - m)  positive semidefinite,

    for then so is the Schur complement A - m - C^T (B - m)^-1 C. The smallest eigenvalue of A bounds Q's from above.
    What b that takes for the accuracy asked for is known beforehand (by the largest eigenvalue of C^T C relative to
    A - m), and Lanczos stops as soon as it is proven or refuted.

    Args:
        product: v [n] or [n, r] float64 -> Q v; may return a buffer that it reuses.
        basis: orthonormal columns [n, r], 0 < r < n.
        accuracy, relative: as for `smallest_eigenvalue`.

    Returns: None where the basis does not reach that accuracy: something outside it is as low.
    """
    image = product(basis).clone()
    inside = basis.T @ image
    inside = 0.5 * (inside + inside.T)
    coupling = image - basis @ inside
    values, vectors = torch.linalg.eigh(inside)
    coupling = coupling @ vectors  # from here on in the eigenbasis of A
    gram = coupling.T @ coupling
    ritz = float(values[0])
    rounding = len(values) * torch.finfo(values.dtype).eps * float(values.abs().max())

    def needed(lower: float) -> float:
        """The b that makes Q - lower positive semidefinite."""
        lengths = (values - lower).sqrt()
        return lower + float(torch.linalg.eigvalsh(gram / lengths / lengths[:, None])[-1]) + rounding

    slack = max(accuracy, relative * abs(ritz), rounding)
    enough = needed(ritz - slack)
    rest = smallest_eigenvalue(
        product,
        len(basis),
        seed=seed,
        accuracy=math.inf,
        probability=probability,
        max_iterations=max_iterations,
        at_least=enough,
        beside=basis,
        device=basis.device,
    )
    if rest.lower < enough:
        return None
    while slack > 2.0 * rounding and needed(ritz - 0.5 * slack) <= rest.lower:  # more may be proven than was asked for
        slack *= 0.5
    return Extreme(lower=ritz - slack - rounding, ritz=ritz, vector=basis @ vectors[:, 0], iterations=rest.iterations)
