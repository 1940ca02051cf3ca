"""What forget sets are made of: units by activity and by popularity, in thirds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unlearn.problem import Problem
from unlearn.worst_case.budget import Room

NAMES = ("low", "middle", "high")


def activity(room: Room) -> Tensor:
    """How many records each unit has, float64 [k]."""
    return torch.from_numpy(room.units.counts)[room.rows].double()


def popularity(problem: Problem, room: Room) -> Tensor:
    """How many records the items of each unit's records have, on average, float64 [k].

    Raises:
        ValueError: the problem has no items.
    """
    items = problem.units("item")
    of_records = torch.from_numpy(items.counts[items.owners]).double()
    return room.means(of_records, torch.arange(len(of_records)))


def thirds(scores: Tensor) -> Tensor:
    """The stratum [k] of each unit, 0 to 2, by its place among the scores [k]; equal scores share a stratum.

    It is the one in which the first of them would be, so strata are of equal size as far as ties allow.
    """
    ordered = scores.sort().values
    place = torch.searchsorted(ordered, scores.contiguous())
    return (3 * place) // max(len(scores), 1)


def shares(strata: Tensor, chosen: Tensor) -> Mapping[str, float]:
    """The share of the units `chosen` (places in [0, k)) that lie in each stratum; a third each for a random set."""
    found = torch.bincount(strata[chosen], minlength=len(NAMES)).double() / max(len(chosen), 1)
    return dict(zip(NAMES, found.tolist(), strict=True))
