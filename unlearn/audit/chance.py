"""Figures beside what chance reads: by relabelling what a null hypothesis makes exchangeable, over several seeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unlearn.audit.statistics import LEVEL, Floats
from unlearn.streams import uniforms

DRAWS = 1_999  # relabellings: the least p-value, .001, is below .05 even where Holm corrects it for fifty figures
Side = Literal["both", "upper", "lower"]


@dataclass(frozen=True, slots=True)
class Chance:
    """A figure beside what it reads after random relabelling, under which nothing is left to find.

    The interval inverts the test: the floor lies outside exactly where the relabelling test rejects, at 2.5 % on each
    side that counts (so at 5 % where both do, and at 2.5 % where one does, whose p-value is doubled all the same). An
    end on a side that does not count is infinite.
    """

    value: float
    floor: float
    low: float
    high: float
    resolution: float
    p_value: float
    alarm: bool

    @classmethod
    def of(
        cls,
        value: float,
        null: Floats,
        *,
        side: Side = "both",
        floor: float | None = None,
        within: tuple[float, float] = (-inf, inf),
    ) -> Chance:
        """From the figure's values under relabelling [draws]; `floor` is their mean unless given.

        With `floor` given, `null` and `value` are compared as distances from their own centres: value - floor against
        null, whose centre is zero. The figure cannot leave `within`, and neither do ends that are known.

        Raises:
            ValueError: there are too few relabellings to test at the level.
        """
        centre = float(null.mean()) if floor is None else 0.0
        distances = np.sort(np.round(null - centre, 12))
        floor = centre if floor is None else floor
        distance = round(value - floor, 12)
        draws = len(distances)
        above = (1 + int((distances >= distance).sum())) / (draws + 1)
        below = (1 + int((distances <= distance).sum())) / (draws + 1)
        p_value = min(1.0, 2 * {"both": min(above, below), "upper": above, "lower": below}[side])
        last = int(LEVEL / 2 * (draws + 1))
        if not last:
            raise ValueError(f"`draws` must be at least {round(2 / LEVEL) - 1} to test at {LEVEL:g} (got {draws})")
        top, bottom = float(distances[-last]), float(distances[last - 1])
        return cls(
            value=value,
            floor=floor,
            low=-inf if side == "lower" else max(within[0], value - top),
            high=inf if side == "upper" else min(within[1], value - bottom),
            resolution={"both": max(top, -bottom), "upper": top, "lower": -bottom}[side],
            p_value=p_value,
            alarm=(side != "lower" and distance > top) or (side != "upper" and distance < bottom),
        )


def orders(blocks: Sequence[int], *, draws: int, seed: int) -> NDArray[np.intp]:
    """Random orders [draws, n] of the models' rows, any of which could have come about.

    Models of one block depend on each other: whole blocks trade places, and so do the two models of a pair (in a pool
    of halves, a subset and its complement). In larger blocks (a subset under several seeds, and its complement) some
    orders could not have come about, so models stay where they are.

    Args:
        blocks: the independent draw that each row belongs to; the rows of a block follow each other, and all blocks
            have one size.

    Raises:
        ValueError: they do not.
    """
    n = len(blocks)
    starts = [place for place in range(n) if place == 0 or blocks[place] != blocks[place - 1]]
    size = n // len(starts) if starts else 1
    if len(set(blocks)) != len(starts) or starts != list(range(0, n, size)) or n % size:
        raise ValueError(f"`blocks` must be of one size, each in rows that follow each other (got {list(blocks)})")
    many, within = np.arange(draws)[:, None], np.arange(n).reshape(-1, size)
    places = np.argsort(uniforms(seed, "audit/relabel/blocks", many, np.arange(n // size)), axis=1)
    inside = np.arange(size)
    if size == 2:
        inside = np.argsort(uniforms(seed, "audit/relabel/rows", many[..., None], within), axis=2)
    return (places[..., None] * size + inside).reshape(draws, n)


def relabelled(
    statistic: Callable[[NDArray[np.intp]], Floats], blocks: Sequence[int], *, draws: int, seed: int
) -> tuple[Floats, Floats]:
    """The statistic [f] of the models' rows as they are, and under random orders of them [draws, f].

    Where rows are exchangeable under the null hypothesis, the statistic as it is ranks uniformly among the others, so
    the test is exact whatever the statistic is. For `blocks` and errors see `orders`.
    """
    drawn = orders(blocks, draws=draws, seed=seed)
    return statistic(np.arange(len(blocks))), np.stack([statistic(order) for order in drawn])


# ---- readings -------------------------------------------------------------------------------------------------------


class Reading(ABC):
    """What a metric reads of one seed's evidence; readings of several seeds are judged together."""

    @abstractmethod
    def alone(self) -> float:
        """The figure of this seed."""

    @classmethod
    @abstractmethod
    def pooled(cls, readings: Sequence[Any]) -> Chance:
        """One figure of several readings of this kind."""


@dataclass(frozen=True, eq=False)
class Relabelling(Reading):
    """A figure, and what it reads under relabelling [draws]; see `Chance.of`.

    Over seeds figures are averaged, and so are the draws of the same number: the models of every seed trade labels
    among themselves, apart from those of the other seeds, which is what the null hypothesis makes exchangeable. So the
    pooled test is exact, too. A figure that a seed does not have (NaN) is left out.
    """

    value: float
    null: Floats
    side: Side = "both"
    floor: float | None = None
    within: tuple[float, float] = (-inf, inf)

    def alone(self) -> float:
        return self.value

    @classmethod
    def pooled(cls, readings: Sequence[Relabelling]) -> Chance:
        there = [one for one in readings if one.value == one.value]
        if not there:
            return Chance(nan, nan, nan, nan, nan, nan, alarm=False)
        floors = [one.floor for one in there if one.floor is not None]
        return Chance.of(
            float(np.mean([one.value for one in there])),
            np.mean([one.null for one in there], axis=0),
            side=there[0].side,
            floor=float(np.mean(floors)) if floors else None,
            within=there[0].within,
        )
