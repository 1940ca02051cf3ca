"""The directions along which a table of embeddings only turns, and how to keep out of them."""

from __future__ import annotations

import torch
from torch import Tensor

from unlearn.solvers.operator import Map


def rotation_projection(table: Tensor) -> Map:
    """The orthogonal projection that removes the rotations of a table E [n, d] from a flat vector [n d].

    An objective that depends on E through dot products of rows alone is the same at E Q for every rotation Q, so the
    d (d - 1) / 2 directions E A with A antisymmetric (fewer where E has a rank below d - 1) are flat at a solution,
    and slightly curved either way beside it. V loses its part E A where A solves the Lyapunov equation

        G A + A G = B - B^T,    G = E^T E,  B = E^T V,

    which is diagonal in the eigenbasis of G. The differential geometry is that of quotient manifolds: Absil, Mahony and
    Sepulchre, "Optimization algorithms on matrix manifolds", 2008, section 3.5.8.

    Costs n d^2 + d^3 once, in float64, and 2 n d^2 a vector.

    Raises:
        ValueError: the table is not a matrix.
    """
    if table.dim() != 2:
        raise ValueError(f"`table` must be a matrix [n, d] for `rotation_projection` (got shape {list(table.shape)})")
    shape = table.shape
    wide = table.detach().double()
    values, vectors = torch.linalg.eigh(wide.T @ wide)
    turned = (wide @ vectors).to(table.dtype)  # E in the eigenbasis of G
    sums = values[:, None] + values[None, :]
    # Where both eigenvalues vanish, E A does too.
    inverse = torch.where(sums > 1e-12 * values[-1].clamp(min=0.0), 1.0 / sums, 0.0)
    vectors = vectors.to(table.dtype)

    def project(vector: Tensor) -> Tensor:
        rows = vector.view(shape)
        inner = (turned.T @ rows @ vectors).double()
        antisymmetric = (inner - inner.T) * inverse
        return (rows - turned @ antisymmetric.to(table.dtype) @ vectors.T).view(-1)

    return project
