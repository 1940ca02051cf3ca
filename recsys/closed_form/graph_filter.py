"""GF-CF: a low-pass filter on the interaction graph, without training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.closed_form.base import LinearFilter, register
from recsys.closed_form.subspace import all_vectors, followed, leading_vectors
from recsys.data.interactions import Interactions
from recsys.graph import BipartiteGraph
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.params import Params
from unlearn.streams import normals

_GUARD = 64  # vectors kept beyond the rank
_COLD = (1, 2, 2, 4, 4, *[6] * 40)
_WARM = (6,)
_SKETCH = 32  # directions in which a request is looked for
_MANY = 0.005  # of all rows and columns: so many of other lengths push the span out by more than a sketch finds


@register
@dataclass(frozen=True, eq=False, kw_only=True)
class GraphFilter(LinearFilter):
    """GF-CF: histories filtered by which items occur together, with an ideal low-pass; nothing is trained.

    Shen et al., "How powerful is graph convolution for recommendation?", 2021, arXiv 2108.07567.

    With N = D_U^-1/2 R D_I^-1/2 and V its leading right singular vectors [m, rank], a history r scores

        r (N^T N + alpha D_I^-1/2 V V^T D_I^1/2)

    The item-item filter N^T N (`rank` 0: it alone) is applied as two sparse products and never formed: its state is
    the remaining interactions, so that a deletion is a change of the data and exactly what a refit gives. V is carried
    over to the remaining data by Rayleigh-Ritz on its span and the few directions in which a request pushes it out, and
    by a round of the iteration where it rescales more than half a per cent of all rows and columns. That is close and
    no more: `history.removed` then counts. What one request leaves, the next sees. Where there are at most
    2 (rank + 64) items, N^T N is decomposed as a dense matrix, for a deletion too, which then is a refit.

    Memory: (rank + 64) m numbers and the interactions; a few times that while they are found.

    Args:
        rank: of the ideal low-pass.
        alpha: its weight.
        tolerance: `fit` ends when the residual of each singular vector is at most this (singular values are at most 1);
            in float32 it cannot be much below 2e-5.

    Raises:
        ValueError: an argument is out of range; the message lists every problem.

    **Differences from the paper:** guard vectors beyond the rank; singular vectors that belong to no singular value
    above rounding are zero.
    """

    name = "graph_filter"
    rank: int = 256
    alpha: float = 0.2
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            self,
            rank=("at least 0", self.rank >= 0),
            alpha=("at least 0", self.alpha >= 0),
            tolerance=("at least 0", self.tolerance >= 0),
        )

    def fold_in(self, histories: csr_array) -> Tensor:
        rows = torch.from_numpy(histories.toarray()).to(self.dtype)
        matrix, transposed = self._normalized
        scores = (transposed @ (matrix @ rows.T)).T.contiguous()
        if self.rank:
            degrees = torch.from_numpy(self.data.degrees()[1]).to(self.dtype)
            basis = self.params["basis"][:, : self.rank]
            low = (rows * degrees.clamp_min(1.0).rsqrt()) @ basis @ basis.T
            scores.add_(low.mul_(degrees.sqrt()), alpha=self.alpha)
        return scores

    @cached_property
    def _normalized(self) -> tuple[Tensor, Tensor]:
        """N [n, m] and its transpose, sparse."""
        graph = BipartiteGraph.from_interactions(self.data, dtype=self.dtype)
        return graph.interaction_matrix(graph.values), graph.transposed_matrix(graph.values)

    def _fitted(self, init: Params | None) -> Params:
        if not self.rank:
            return {}
        if self._is_small:
            return {"basis": self._present(all_vectors(*self._normalized, self._width))}
        drawn = self._present(self._start(self._width))
        given = self._present(init["basis"]) if init else drawn
        # An iteration never fills a column of zeros: from data of a lower rank it would find no more than they had.
        start = given if bool(given[:, : self.rank].any(0).all()) else drawn
        found = leading_vectors(*self._normalized, start, _COLD, rank=self.rank, tolerance=self.tolerance)
        return {"basis": found}

    def _updated(self, before: Interactions, forget: ForgetSet) -> tuple[Params, bool]:
        if not self.rank or self._is_small:
            return self._fitted(None), True
        start = self._present(self.params["basis"])
        rank = np.arange(min(self.rank, start.shape[1]))
        sketch = torch.from_numpy(normals(self.seed, "closed_form/sketch", rank[:, None], np.arange(_SKETCH)))
        basis = followed(*self._normalized, start, sketch.to(self.dtype))
        if self._rescaled(before) > max(_SKETCH, _MANY * (self.data.n_users + self.data.n_items)):
            basis = leading_vectors(*self._normalized, basis, _WARM, rank=self.rank)
        return {"basis": basis}, False

    def _rescaled(self, before: Interactions) -> int:
        """How many rows and columns of N have other lengths than they had."""
        degrees = zip(before.degrees(), self.data.degrees(), strict=True)
        return sum(int((had != has).sum()) for had, has in degrees)

    @property
    def _width(self) -> int:
        return min(self.rank + _GUARD, self.data.n_items)

    @property
    def _is_small(self) -> bool:
        """Whether a dense decomposition costs no more than a round or two of an iteration."""
        return 2 * self._width >= self.data.n_items

    def _present(self, basis: Tensor) -> Tensor:
        """Zero in the rows of items that have no interactions any more, which an iteration alone would keep."""
        return basis * torch.from_numpy(self.data.degrees()[1] > 0)[:, None]

    def _start(self, width: int) -> Tensor:
        keys = self.data.items.keys[:, None]
        drawn = torch.from_numpy(normals(self.seed, "closed_form/basis", keys, np.arange(width))).to(self.dtype)
        return drawn / drawn.norm(dim=0).clamp_min(torch.finfo(self.dtype).tiny)
