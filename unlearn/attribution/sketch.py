"""The first stage of a search: unit rows along a few principal directions, in bytes, with what that leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-6  # of a unit row's squared length: what single precision may lose in it, generously


@dataclass(frozen=True, eq=False)
class Basis:
    """Orthonormal `vectors` [m, width].

    A unit row x has its head h = V x, kept as bytes times a step of its own: h ~ step b. So for a query q with head
    g = V q,

        |q . x - step (g . b)|  <=  |q - V^T g| outside + |g| inside,    outside = |x - V^T h|,  inside = |h - step b|,

    which are the three numbers kept beside the bytes; `outside` is never below what rounding could hide.
    """

    vectors: NDArray[np.float32]

    def quantised(self, rows: NDArray[np.float16]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Bytes [n, m], and step, inside and outside [n, 3]."""
        x = rows.astype(np.float32)
        heads = x @ self.vectors.T
        steps = np.maximum(np.abs(heads).max(1, initial=0.0) / 127.0, 1e-12)
        bytes_ = np.rint(heads / steps[:, None]).astype(np.int8)
        inside = np.linalg.norm(heads - steps[:, None] * bytes_, axis=1)
        outside = np.sqrt(np.maximum((x**2).sum(1) - (heads**2).sum(1), 0.0) + _ROUNDING)
        return bytes_, np.stack([steps, inside, outside], 1).astype(np.float32)


def principal_basis(sample: NDArray[np.float16], m: int) -> Basis:
    """The `m` directions in which the sample [s, width] is largest, about 0; fewer where its rank is."""
    x = sample.astype(np.float64)
    values, vectors = np.linalg.eigh(x.T @ x)
    kept = vectors[:, ::-1][:, :m][:, values[::-1][:m] > 1e-12 * max(values[-1], 1e-300)]
    return Basis(np.ascontiguousarray(kept.T, dtype=np.float32))
