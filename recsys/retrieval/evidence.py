"""What retrieval may look at: the interactions that remain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from recsys.data.interactions import Interactions
from recsys.ranking import Rows


@dataclass(frozen=True, eq=False)
class Evidence:
    """The remaining interactions, as users' histories and as similarities of items; nothing learned."""

    data: Interactions

    def history(self, user: int) -> Rows:
        """Item rows [h] of a user row, ascending."""
        return self.data.indices[self.data.indptr[user] : self.data.indptr[user + 1]]

    def similarity(self, left: Rows, right: Rows) -> NDArray[np.float64]:
        """Cosine [l, r] of items as sets of users: |U_i & U_j| / sqrt(|U_i| |U_j|), 0 for an item that nobody has."""
        columns, norms = self._columns, self._norms
        shared = (columns[:, left].T @ columns[:, right]).toarray()
        return shared / np.outer(norms[left], norms[right])

    @cached_property
    def _columns(self) -> csc_array:
        return self.data.csr().astype(np.float64).tocsc()

    @cached_property
    def _norms(self) -> NDArray[np.float64]:
        return np.sqrt(np.maximum(self.data.degrees()[1], 1))


@dataclass(frozen=True, eq=False)
class Retrieved:
    """What a generator is given for one user.

    Shapes:
        profile [p]: item rows of the user's remaining history, as the strategy chose and ordered them;
        candidates [c]: item rows that the candidate model ranks best for the user, best first.
    """

    evidence: Evidence
    profile: Rows
    candidates: Rows
