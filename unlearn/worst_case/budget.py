"""How much a worst-case set may hold: so many units, or units that hold so many records."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.methods.base import MissingRequirement
from unlearn.units import Unit, Units

_FORMS = (
    "users:1%, users:20, items:5, interactions:1%, ties:2%, records:50, or users/interactions:1% (users who hold that "
    "share of the interactions)"
)


@dataclass(frozen=True)
class Budget:
    """A number of units, or a share of them in (0, 1); `by_records` counts the records that they hold instead.

    Raises:
        ValueError: the amount is neither a share in (0, 1) nor a positive integer.
    """

    unit: Unit
    amount: float
    by_records: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.amount < 1 or (self.amount >= 1 and float(self.amount).is_integer())):
            raise ValueError(
                f"`amount` must be a share in (0, 1) or a positive integer for `Budget` (got {self.amount})"
            )

    @classmethod
    def parse(cls, text: str) -> Budget:
        """The budget that is written so.

        Raises:
            ValueError: it is not written as one.
        """
        found = re.fullmatch(r"([a-z]+)s(/interactions|/records)?:([\d.]+)(%?)", text.strip())
        unit = found[1] if found else ""
        try:
            amount = float(found[3]) if found else float("nan")
        except ValueError:
            amount = float("nan")
        if found is None or unit not in get_args(Unit) or not isfinite(amount):
            raise ValueError(f"`budget` must be written as {_FORMS} (got {text!r})")
        share = bool(found[4])
        if (share and not 0 < amount < 100) or (not share and not (amount >= 1 and amount == int(amount))):
            raise ValueError(
                f"`budget` must be a share above 0 % and below 100 %, or a positive integer (got {text!r})"
            )
        return cls(cast("Unit", unit), amount / 100 if share else amount, by_records=found[2] is not None)

    def __str__(self) -> str:
        amount = f"{100 * self.amount:g}%" if self.amount < 1 else f"{self.amount:.0f}"
        return f"{self.unit}s{'/interactions' if self.by_records else ''}:{amount}"

    def room(self, units: Units) -> Room:
        """What the budget means for these units.

        Raises:
            ValueError: it asks for everything or more, no unit is small enough for it, or it counts records of ties.
        """
        counts = torch.from_numpy(units.counts)
        if self.unit == "tie":
            if self.by_records:
                raise ValueError(f"`budget` must count ties themselves, which have no records (got {self})")
            counts = torch.ones_like(counts)
        rows = counts.nonzero().flatten()
        costs = (counts[rows] if self.by_records else torch.ones_like(rows)).double()
        there = float(costs.sum())
        total = float(max(1, round(self.amount * there)) if self.amount < 1 else self.amount)
        what = "records" if self.by_records else f"{self.unit}s"
        if total >= there:
            raise ValueError(f"`budget` must leave something of the {there:.0f} {what} there are (got {self})")
        if total < float(costs.min()):
            raise ValueError(
                f"`budget` must have room for one {self.unit}, of which the smallest has {costs.min():.0f} {what} "
                f"(got {self}: {total:.0f})"
            )
        return Room(self.unit, rows, costs, total, units)


@dataclass(frozen=True, eq=False)
class Room:
    """The units that can be chosen, what each costs, and what the chosen may cost together.

    Vectors over these units have k entries, in the order of `rows`.
    """

    unit: Unit
    rows: Tensor  # int64 [k]: of those that hold a record
    costs: Tensor  # float64 [k]
    total: float
    units: Units

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def place(self) -> Tensor:
        """For each record, the unit in [0, k) that it belongs to: int64 [n records].

        Raises:
            MissingRequirement: the units are ties, which no record belongs to.
        """
        if self.unit == "tie":
            raise MissingRequirement("this needs units that have records; a tie has none")
        places = torch.full((len(self.units),), -1, dtype=torch.int64)
        places[self.rows] = torch.arange(len(self.rows))
        return places[torch.from_numpy(self.units.owners)]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """What names each unit [k] to the random streams, whatever its number."""
        return self.units.keys[self.rows.numpy()]

    def forget_set(self, places: Tensor) -> ForgetSet:
        """The forget set of the units at these places [r] of the room."""
        return self.units.forget_set(self.rows[places].numpy())

    def whole(self, weights: Tensor) -> Tensor:
        """Weights [k] as `Problem.weighted` takes them [size], those of units that hold nothing 0; differentiable."""
        return weights.new_zeros(len(self.units)).index_put((self.rows,), weights)

    def means(self, values: Tensor, chosen: Tensor) -> Tensor:
        """Mean [k] over each unit's records of `values` [n chosen], for the records `chosen`; differentiable.

        Rooms are in main memory, whatever device the problem is on, and so are their values.
        """
        place = self.place[chosen]
        counts = torch.bincount(place, minlength=len(self)).clamp_min(1)
        return values.new_zeros(len(self)).index_add(0, place, values) / counts
