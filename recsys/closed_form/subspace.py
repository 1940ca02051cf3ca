"""The leading right singular vectors of a sparse matrix, from any start: cold to fit, warm to forget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

_BLOCK = 32  # columns
_DEPTH = 3  # products with P by which `followed` goes beyond the old span
_FLOOR = 1e-3  # of the largest Ritz value: below it a Chebyshev polynomial is a power anyway
_GROWTH = 0.01  # of 1 / eps, by which a filter may multiply


def leading_vectors(
    matrix: Tensor, transposed: Tensor, start: Tensor, degrees: Iterable[int], *, rank: int, tolerance: float = 0.0
) -> Tensor:
    """Approximate leading right singular vectors [m, k] of A [n, m], best first, improved from `start` [m, k].

    Zhou, Saad, Tiago and Chelikowsky, "Self-consistent-field calculations using Chebyshev-filtered subspace
    iteration", J. Comput. Phys. 219(1), 2006. A round replaces V by T_g(2 P / c - 1) V with P = A^T A and c the
    smallest Ritz value, which grows what lies above c and keeps within [-1, 1] what lies in [0, c]; Rayleigh-Ritz then
    puts V in order. The columns beyond `rank` are a guard: the more there are, the faster those before them converge.

    Args:
        matrix, transposed: A and A^T as CSR tensors.
        degrees: of the polynomial, one for each round; less where the leading would outgrow the precision (`_degree`).
        rank, tolerance: rounds end when |P v - v (v . P v)| <= tolerance for each of the first `rank` vectors.

    Where A has fewer than k singular values above rounding, the columns left over are zero.

    **Differences from the paper:** Rayleigh-Ritz by a generalised eigenproblem instead of orthonormalisation first.
    """

    def image(block: Tensor) -> Tensor:
        return matrix @ block

    def product(block: Tensor) -> Tensor:
        return transposed @ image(block)

    vectors = start
    for degree in degrees:
        values = _blockwise(image, vectors).square().sum(0)
        if not bool(values.any()):
            return torch.zeros_like(vectors)
        if tolerance:
            leading = vectors[:, :rank]
            residuals = _blockwise(product, leading) - values[:rank] * leading
            if float(residuals.norm(dim=0).max()) <= tolerance:
                break
        largest, least = float(values.max()), float(values[values > 0].min())
        if not bool(values.all()):
            least /= 2  # columns were left over: what lies beyond the last is to be filtered from it too
        scale = 2.0 / max(least, _FLOOR * largest)
        degree = _degree(degree, scale * largest - 1.0, vectors.dtype)
        vectors = _blockwise(partial(_filtered, image, transposed, scale, degree), vectors)
        vectors = _ritz_vectors(_blockwise(image, vectors), vectors)
    return vectors


def all_vectors(matrix: Tensor, transposed: Tensor, width: int) -> Tensor:
    """The leading right singular vectors [m, width] of A [n, m], best first, from A^T A [m, m] in dense float64.

    Where `width` is half of m or more that costs as much as a round or two of `leading_vectors`, and loses nothing that
    an iteration in float32 takes for rounding. Where A has fewer singular values above rounding, here sqrt(m eps) of
    the largest in float64, the columns left over are zero.
    """
    a, a_t = matrix.double(), transposed.double()
    gram = _blockwise(lambda block: a_t @ (a @ block), torch.eye(a.shape[1], dtype=torch.float64, device=a.device))
    values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    vectors = vectors * (values > len(values) * torch.finfo(values.dtype).eps * values[-1:])
    return vectors.flip(1)[:, :width].to(matrix.dtype)


def followed(matrix: Tensor, transposed: Tensor, vectors: Tensor, sketch: Tensor) -> Tensor:
    """Singular vectors [m, k] of a matrix whose near relative had `vectors` [m, k], best first, after a small change.

    Rayleigh-Ritz on the span of V and of what a block Krylov iteration adds to it, started from a sketch of the
    residuals (I - V V^T) P V Omega, Omega = `sketch` [rank, s] random. Where few rows and columns changed, P V left
    the span of V by few directions, which s random mixtures of the leading residuals find (Halko, Martinsson and
    Tropp, arXiv 0909.4061), and (P - c)^-1, by which they move the vectors, is a polynomial in P nearly enough. So a
    change costs one product with the whole block instead of one for each degree of a filter.
    """

    def image(block: Tensor) -> Tensor:
        return matrix @ block

    spans, images = [vectors], [_blockwise(image, vectors)]
    block = transposed @ (images[0][:, : len(sketch)] @ sketch)
    for _ in range(_DEPTH):
        block = block - vectors @ (vectors.T @ block)
        spans.append(block / block.norm(dim=0).clamp_min(torch.finfo(block.dtype).tiny))
        images.append(image(spans[-1]))
        block = transposed @ images[-1]
    return _ritz_vectors(torch.cat(images, dim=1), torch.cat(spans, dim=1))[:, : vectors.shape[1]]


def _blockwise(function: Callable[[Tensor], Tensor], vectors: Tensor) -> Tensor:
    """A function of columns, a few columns at a time: sparse products are memory-bound, and a block stays in cache."""
    return torch.cat([function(block.contiguous()) for block in vectors.split(_BLOCK, dim=1)], dim=1)


def _degree(asked: int, x: float, dtype: torch.dtype) -> int:
    """The largest g <= `asked` with T_g(x) at most _GROWTH / eps, where x > 1 is what the largest Ritz value maps to.

    Every column carries rounding errors of eps along the leading vectors, which the filter multiplies by T_g(x): were
    that 1 / eps or more, they would bury the trailing columns, and Rayleigh-Ritz would lose those.
    """
    most = math.acosh(_GROWTH / torch.finfo(dtype).eps)
    return max(1, min(asked, int(most / math.acosh(x)))) if x > 1.0 else asked


def _filtered(image: Callable[[Tensor], Tensor], transposed: Tensor, scale: float, degree: int, x: Tensor) -> Tensor:
    """T_g(scale P - 1) x, T_g the Chebyshev polynomial of that degree."""
    before, now = x, torch.addmm(x, transposed, image(x), beta=-1.0, alpha=scale)
    for _ in range(degree - 1):
        after = torch.addmm(now, transposed, image(now), beta=-2.0, alpha=2.0 * scale).sub_(before)
        before, now = now, after
    return now


def _ritz_vectors(images: Tensor, vectors: Tensor) -> Tensor:
    """Rayleigh-Ritz on span(V) with `images` A V: orthonormal V Z that diagonalise P, by descending Ritz value."""
    gram, energy = ((x.T @ x).double() for x in (vectors, images))
    lengths = gram.diagonal().sqrt()
    lengths[lengths == 0] = torch.inf  # columns left over: zero they stay
    gram, energy = (x / lengths / lengths[:, None] for x in (gram, energy))
    sizes, basis = torch.linalg.eigh(gram)
    floor = len(gram) * torch.finfo(vectors.dtype).eps
    kept = sizes > floor * sizes[-1]
    whitening = basis[:, kept] / sizes[kept].sqrt()
    values, rotation = torch.linalg.eigh(whitening.T @ energy @ whitening)
    rotation = whitening @ rotation
    # A combination that cancels grows its rounding by its square: what that alone could be is measured again.
    doubtful = (values <= floor * values[-1:] * rotation.square().sum(0)).nonzero().flatten()
    rotation = (rotation / lengths[:, None]).to(vectors.dtype)
    values = values.index_copy(0, doubtful, (images @ rotation[:, doubtful]).square().sum(0).double())
    rotation = rotation[:, values > floor * values[-1:]].flip(1)
    out = torch.zeros_like(vectors)
    out[:, : rotation.shape[1]] = vectors @ rotation
    return out
