"""Interactions counted in users, items, interactions or ties."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.data.ties import Ties, joined, located
from unlearn.forget import ForgetSet, Id
from unlearn.streams import bits
from unlearn.units import Unit, Units
from unlearn.vocabulary import Vocabulary

Numbers = NDArray[np.integer[Any]]


def units_of(
    unit: Unit,
    users: Vocabulary,
    items: Vocabulary,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    ties: Ties | None,
) -> Units:
    """Users or items by row, interactions by position, or who is tied to whom, both directions being one unit.

    Args:
        rows: [n], of the interactions' users.
        columns: [n], of their items.

    Raises:
        ValueError: it is to be counted in anything else.
    """
    if unit == "user":
        return Units(users.keys, rows, lambda chosen: ForgetSet(users=_live(users, chosen)))
    if unit == "item":
        return Units(items.keys, columns, lambda chosen: ForgetSet(items=_live(items, chosen)))
    if unit == "interaction":
        keys = bits(0, "interactions", users.keys[rows], items.keys[columns])

        def interactions(chosen: Numbers) -> ForgetSet:
            return ForgetSet(interactions=_pairs((users, rows[chosen]), (items, columns[chosen])))

        return Units(keys, np.arange(len(rows)), interactions)
    if unit != "tie":
        raise ValueError(f'`unit` must be "user", "item", "interaction" or "tie" for interactions (got {unit!r})')
    ends = joined(ties)

    def tied(chosen: Numbers) -> ForgetSet:
        both = np.concatenate([ends[chosen], ends[chosen][:, ::-1]])
        there = both[located(ties, both, len(users)) >= 0]
        return ForgetSet(ties=_pairs((users, there[:, 0]), (users, there[:, 1])))

    of_ends = np.sort(users.keys[ends], axis=1)  # the key is the pair's own, whoever has the smaller row
    nobody = np.full(len(rows), -1, dtype=np.int64)
    return Units(bits(0, "ties", of_ends[:, 0], of_ends[:, 1]), nobody, tied, ends)


def _live(ids: Vocabulary, rows: Numbers) -> tuple[Id, ...]:
    """Ids of those of the rows that are not forgotten."""
    return tuple(ids.take(rows[ids.alive[rows]]))


def _pairs(*sides: tuple[Vocabulary, Numbers]) -> tuple[tuple[Id, Id], ...]:
    return tuple(zip(*(ids.take(rows) for ids, rows in sides), strict=True))
