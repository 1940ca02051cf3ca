"""Small symmetric positive definite systems, one for each row of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.closed_form.triangles import backward, factor, forward
from unlearn.compiled import kernel
from unlearn.parallel import in_chunks

_ROWS = 2048  # of a chunk


@dataclass(frozen=True, eq=False)
class Systems:
    """S = U^T U for each of q rows, U [k, k] upper triangular; `factors` [q, k (k + 1) / 2] as in `triangles`."""

    factors: NDArray[np.floating]
    width: int

    @classmethod
    def factored(cls, triangles: Tensor, width: int) -> Systems:
        """From the upper triangles [q, k (k + 1) / 2] of all S, which are overwritten."""
        factors = triangles.numpy()
        by_rows(lambda part: _factor(factors[part], width), len(factors))
        return cls(factors, width)

    def forward(self, right: Tensor) -> Tensor:
        """U^-T b for each row b of `right` [q, k]."""
        return self._each(_forward, right)

    def backward(self, right: Tensor) -> Tensor:
        """U^-1 b for each row b of `right` [q, k]."""
        return self._each(_backward, right)

    def solve(self, right: Tensor) -> Tensor:
        """S^-1 b for each row b of `right` [q, k]."""
        return self.backward(self.forward(right))

    def _each(self, substitute: Callable[[NDArray[np.floating], NDArray[np.floating]], None], right: Tensor) -> Tensor:
        rows = right.numpy().copy()
        by_rows(lambda part: substitute(self.factors[part], rows[part]), len(rows))
        return torch.from_numpy(rows)


def by_rows(work: Callable[[slice], None], rows: int) -> None:
    """`work` on all rows, part by part, on as many threads as torch uses."""

    def chunk(first: int, count: int) -> None:
        work(slice(first, first + count))

    for _ in in_chunks(chunk, rows, chunk=_ROWS, threads=torch.get_num_threads()):
        pass


@kernel
def _factor(triangles: NDArray[np.floating], k: int) -> None:
    for r in range(len(triangles)):
        factor(triangles[r], k)


@kernel
def _forward(factors: NDArray[np.floating], rows: NDArray[np.floating]) -> None:
    for r in range(len(factors)):
        forward(factors[r], rows[r])


@kernel
def _backward(factors: NDArray[np.floating], rows: NDArray[np.floating]) -> None:
    for r in range(len(factors)):
        backward(factors[r], rows[r])
