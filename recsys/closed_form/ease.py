"""EASE: a linear item-item model whose deletion is a low-rank update of one inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from torch import Tensor

from recsys.closed_form.base import LinearFilter, register, sparse_tensor
from recsys.data.interactions import Interactions
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.memory import require_memory
from unlearn.params import Params


@register
@dataclass(frozen=True, eq=False, kw_only=True)
class Ease(LinearFilter):
    """A linear map from items to items in closed form; deletion is exact.

    Steck, "Embarrassingly shallow autoencoders for sparse data", 2019, arXiv 1905.03375.

    B = argmin |R - R B|^2 + l2 |B|^2 with diag(B) = 0. With P = (R^T R + l2 I)^-1:

        B = I - P diag(P)^-1,        scores of a history r:  r B = r - (r P) / diag(P)

    Only P [m, m] is kept. Deletion is exact. Forgotten items C leave by the Schur complement, the others being A:
    (G_AA + l2 I)^-1 = P_AA - P_AC P_CC^-1 P_CA. Users whose rows x become x' (zero for a forgotten user) are a change
    of the Gram matrix by X^T S X, with X the old rows above the new ones and S = diag(-1, .., +1, ..), so by Woodbury

        P <- P - P X^T (S + X P X^T)^-1 X P

    in O(m^2 s) for s rows. Where s is half of m, the inverse is computed afresh, which is then cheaper and the same.

    Every update adds rounding of the order of the machine's precision times the condition number of R^T R + l2 I: the
    default is float64. Memory: 8 m^2 bytes, twice that during a deletion of few rows, three times that while it is
    fitted, and four times that during a deletion that computes the inverse afresh.

    Raises:
        ValueError: `l2` is not positive; or, by `fit`, the inverse does not fit into memory.

    **Differences from the paper:** none in the model; deletion is ours.
    """

    name = "ease"
    l2: float = 200.0
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        require(self, l2=("positive", self.l2 > 0))

    def fold_in(self, histories: csr_array) -> Tensor:
        inverse = self.params["inverse"]
        rows = sparse_tensor(histories, self.dtype)
        return torch.from_numpy(histories.toarray()).to(self.dtype) - (rows @ inverse) / inverse.diagonal()

    def _fitted(self, init: Params | None) -> Params:
        n_items = self.data.n_items
        remedy = "leave out rare items, or use a model whose size does not grow with the square of their number"
        require_memory(24 * n_items**2, f"`ease` over {n_items:,} items", remedy)
        matrix = self.data.csr().astype(np.float64)
        gram = torch.from_numpy((matrix.T @ matrix).toarray())
        gram.diagonal().add_(self.l2)
        return {"inverse": torch.cholesky_inverse(torch.linalg.cholesky(gram.to(self.dtype)))}

    def _updated(self, before: Interactions, forget: ForgetSet) -> tuple[Params, bool]:
        items = before.items.rows(forget.items, unknown="mark")
        items = items[items >= 0]
        rows, signs = _changed(before, self.data, forget, items)
        if 2 * (len(signs) + len(items)) >= self.data.n_items:
            return self._fitted(None), True
        inverse = self.params["inverse"].clone()
        if len(items):
            _take_out(torch.from_numpy(items), inverse, self.l2)
        if len(signs):
            changed = sparse_tensor(rows, self.dtype)
            products = changed @ inverse
            inner = changed @ products.T + torch.from_numpy(signs).to(self.dtype).diag()
            inverse.addmm_(products.T, torch.linalg.solve(inner, products), alpha=-1.0)
        return {"inverse": inverse}, True


def _changed(
    before: Interactions, after: Interactions, forget: ForgetSet, items: NDArray[np.int64]
) -> tuple[csr_array, NDArray[np.float64]]:
    """Old and new rows [s, m] of the users that lose more than `items`, and the sign of each in the Gram matrix."""
    users = np.unique(before.user_rows()[before.positions(forget)])
    kept = np.ones(before.n_items)
    kept[items] = 0.0
    old = csr_array(before.csr()[users].astype(np.float64) * kept)
    new = csr_array(after.csr()[users].astype(np.float64))
    lost, left = (matrix.sum(axis=1) for matrix in (old, new))
    old, new = old[lost > left], new[(lost > left) & (left > 0)]
    return csr_array(vstack([old, new])), np.repeat([-1.0, 1.0], [old.shape[0], new.shape[0]])


def _take_out(items: Tensor, inverse: Tensor, l2: float) -> None:
    """Makes it the inverse that it is once these rows and columns of the Gram matrix are zero."""
    columns = inverse[:, items]
    inverse.addmm_(columns, torch.linalg.solve(columns[items], columns.T), alpha=-1.0)
    inverse[items] = 0.0
    inverse[:, items] = 0.0
    inverse[items, items] = 1.0 / l2
