"""Ties between users as sorted directed pairs of rows: found by ids, removed, and joined whichever way they go."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from unlearn.forget import Id
from unlearn.vocabulary import Vocabulary

Ties = NDArray[np.int64]
"""[m, 2]: directed pairs of user rows, lexicographically sorted, unique, no self-ties."""


def tie_positions(ties: Ties | None, users: Vocabulary, pairs: Iterable[tuple[Id, Id]]) -> NDArray[np.int64]:
    """Rows of `ties` given by external ids [k]; -1 for a tie that is not here."""
    listed = list(pairs)
    if not listed:
        return np.empty(0, dtype=np.int64)
    ends = [users.rows([pair[k] for pair in listed], unknown="mark") for k in (0, 1)]
    return located(ties, np.column_stack(ends).reshape(-1, 2), len(users))


def located(ties: Ties | None, pairs: NDArray[np.int64], n_users: int) -> NDArray[np.int64]:
    """Where in `ties` each directed pair of user rows [k, 2] is; -1 where it is not, or where an end is -1."""
    if ties is None or not len(ties):
        return np.full(len(pairs), -1, dtype=np.int64)
    have = ties[:, 0] * n_users + ties[:, 1]
    wanted = np.where((pairs >= 0).all(axis=1), pairs[:, 0] * n_users + pairs[:, 1], -1)
    place = np.minimum(np.searchsorted(have, wanted), len(have) - 1)
    return np.where(have[place] == wanted, place, -1)


def remaining_ties(ties: Ties, n_users: int, named: NDArray[np.int64], gone: NDArray[np.int64]) -> Ties:
    """The ties without those at the places `named` (-1 is none) and those with an end in the rows `gone`."""
    if not len(gone) and not len(named):
        return ties
    kept = np.ones(len(ties), dtype=np.bool_)
    kept[named[named >= 0]] = False
    lost = np.zeros(n_users, dtype=np.bool_)
    lost[gone] = True
    return ties[kept & ~lost[ties[:, 0]] & ~lost[ties[:, 1]]]


def joined(ties: Ties | None) -> Ties:
    """Who is tied to whom, whichever way: pairs of rows [t, 2], the smaller first, sorted; both ways count once."""
    return np.empty((0, 2), dtype=np.int64) if ties is None else np.unique(np.sort(ties, axis=1), axis=0)
