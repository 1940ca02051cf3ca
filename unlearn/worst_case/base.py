"""The contract of a selector of worst-case forget sets, its result, and the registry of selectors by name."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.methods.base import require_finite
from unlearn.problem import Problem
from unlearn.registry import Registry, hyper_parameters
from unlearn.worst_case.budget import Budget, Room
from unlearn.worst_case.projection import rounded
from unlearn.worst_case.upper import Upper


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a search: the relaxed upper objective at the weights it began with, the lower one it ended with.

    The lower is what training minimises, with the weights of the round; None where a method took the place of it.
    `moved` is the share of the set that is new, `judged` the upper objective of the set, unlearned by itself.
    """

    upper: float
    lower: float | None
    moved: float
    judged: float


@dataclass(frozen=True, slots=True)
class Search:
    """What a selector came to: weights float64 [k] over the units of the room, and how."""

    weights: Tensor
    rounds: tuple[Round, ...] = ()
    start: Tensor | None = None  # places [r] of the set that it started from
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """A forget set, and how it was found. Its repr shows counts only, as that of the forget set does."""

    forget: ForgetSet
    selector: str
    arguments: dict[str, Any]
    budget: Budget
    seed: int
    units: Tensor = field(repr=False)  # int64 [r]: rows of the chosen units, as `Problem.weighted` numbers them
    cost: float  # what they spend of the budget, in what it counts
    # float64 [size]: the relaxed weights that were rounded; those of other selectors are 0 and 1
    weights: Tensor = field(repr=False)
    rounds: tuple[Round, ...]
    # int64 [r]: the units of a search's start, or of its first step where that is uniform
    start: Tensor | None = field(repr=False)
    warnings: tuple[str, ...]
    seconds: float

    @property
    def overlap_with_start(self) -> float | None:
        """The share of the chosen units that were there from the start; None where there was no search."""
        return None if self.start is None else overlap(self.units, self.start)

    def digest(self, key: bytes) -> str:
        """Keyed digest of the forget set (see `ForgetSet.digest`)."""
        return self.forget.digest(key)


def overlap(rows: Tensor, others: Tensor) -> float:
    """The share of the units `rows` that are among `others`."""
    return float(torch.isin(rows, others).double().mean())


class Selector(ABC):
    """Chooses the forget set of a given size that is hardest on unlearning, by a rule of its own.

    A subclass is a frozen dataclass of its hyper-parameters, each with a default, sets `name`, and implements `search`.
    One by which every unit has a score of its own is a `Ranking`, and implements `scores`.
    """

    name: ClassVar[str]

    def arguments(self) -> dict[str, Any]:
        """The hyper-parameters by name, for records of what was run."""
        return hyper_parameters(self)

    def judged_by(self) -> Upper:
        """The upper objective that sets of this selector are compared on."""
        return Upper()

    def select(self, problem: Problem, budget: Budget | str, *, seed: int = 0) -> Selection:
        """The forget set for a trained problem; `problem` stays as it is.

        Interrupted by the keyboard, a search returns what it has come to.

        Raises:
            ValueError: the budget cannot be read or does not fit, the problem has no units of that kind, or its
                parameters, or the losses of a retrain, are no numbers.
            MissingRequirement: the selector cannot be applied to this problem.
        """
        budget = Budget.parse(budget) if isinstance(budget, str) else budget
        require_finite(problem)
        started = time.perf_counter()
        units = problem.units(budget.unit)
        room = budget.room(units)
        found = self.search(problem, room, seed)
        chosen = rounded(room.costs * found.weights, room.costs, room.total)
        rows = room.rows[chosen]
        return Selection(
            forget=room.forget_set(chosen),
            selector=self.name,
            arguments=self.arguments(),
            budget=budget,
            seed=seed,
            units=rows,
            cost=float(room.costs[chosen].sum()),
            weights=room.whole(found.weights),
            rounds=found.rounds,
            start=None if found.start is None else room.rows[found.start],
            warnings=found.warnings,
            seconds=elapsed(started),
        )

    @abstractmethod
    def search(self, problem: Problem, room: Room, seed: int) -> Search:
        """Weights in [0, 1] of the units in the room; those of the largest weight for their cost are chosen."""


class Ranking(Selector):
    """A selector that gives every unit a score of its own and takes the highest."""

    def search(self, problem: Problem, room: Room, seed: int) -> Search:
        scores = self.scores(problem, room, seed).double()
        place = scores.argsort(stable=True, descending=True).argsort()
        # By cost times rank, so that weight over cost is the rank, and what fills the budget prefers higher ranks.
        chosen = rounded(room.costs * (1.0 - place / len(room)), room.costs, room.total)
        without = int(scores[chosen].isneginf().sum())
        said = f"`{self.name}` says nothing of {without} of the {len(chosen)} chosen: they are the first there are"
        weights = scores.new_zeros(len(room)).index_fill(0, chosen, 1.0)
        return Search(weights, warnings=(said,) if without else ())

    @abstractmethod
    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        """Scores [k], the highest of which are chosen, of equals the earlier unit; -inf where the rule says nothing."""


_SELECTORS = Registry(Selector, "selector of forget sets", group="unlearn.methods", bare=True)
register, selectors = _SELECTORS.register, _SELECTORS.names


def selector(name: str, /, **arguments: Any) -> Selector:
    """The selector of forget sets of that name with these hyper-parameters: `selector("random")`.

    `selectors()` lists the names; what one does and takes is in its class's docstring, `help(type(selector(name)))`.

    Raises:
        ValueError: there is none of that name, and the message lists those there are; or an argument is out of range.
        TypeError: it has no such argument.
    """
    return _SELECTORS.make(name, **arguments)
