"""What data consists of, counted in records, users, items or ties: the map between them and forget sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unlearn.forget import ForgetSet

Unit = Literal["user", "item", "interaction", "tie", "record"]


@dataclass(frozen=True, slots=True)
class Units:
    """All units of one kind in a problem's data, by number, as `Problem.weighted` counts them."""

    keys: NDArray[np.uint64]  # [n]: names each to the random streams, whatever its number; 0 for a forgotten one
    owners: NDArray[np.int64]  # [n_records]: the unit that a record belongs to; -1: none, for a tie has no records
    forget_set: Callable[[NDArray[np.integer[Any]]], ForgetSet]
    """The forget set of the units with these numbers [k]; forgotten ones are skipped."""
    ends: NDArray[np.int64] | None = None  # of ties, [n, 2]: the users that each joins, as the unit "user" counts them

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many records [n] each unit has."""
        return np.bincount(self.owners[self.owners >= 0], minlength=len(self))
