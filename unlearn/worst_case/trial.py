"""Is the worst case worse? A selector's set beside the easiest and a random one of the same budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import torch
from torch import Tensor

from unlearn.problem import Problem
from unlearn.worst_case.base import Selection, Selector, overlap
from unlearn.worst_case.budget import Budget
from unlearn.worst_case.easiest import Easiest
from unlearn.worst_case.random import Random
from unlearn.worst_case.upper import Judge


@dataclass(frozen=True, slots=True)
class Trial:
    """Three sets of one budget, and the selector's upper objective of each after unlearning it again, all alike.

    The lower the objective, the more is left to see of the set.
    """

    chosen: Selection
    easiest: Selection
    random: Selection
    upper_objective: float
    upper_objective_easiest: float
    upper_objective_random: float

    @property
    def overlap_with_easiest(self) -> float:
        """The share of the chosen units that are in the easiest set."""
        return overlap(self.chosen.units, self.easiest.units)

    def figures(self) -> dict[str, float]:
        """The upper objectives and the overlap, by name."""
        return {
            "upper_objective": self.upper_objective,
            "upper_objective_easiest": self.upper_objective_easiest,
            "upper_objective_random": self.upper_objective_random,
            "overlap_with_easiest": self.overlap_with_easiest,
        }


def average(trials: Sequence[Trial]) -> dict[str, float]:
    """Mean of every figure over the trials."""
    rows = [one.figures() for one in trials]
    return {name: fsum(row[name] for row in rows) / len(rows) for name in rows[0]}


def trial(problem: Problem, selector: Selector, budget: Budget | str, *, seed: int = 0) -> Trial:
    """Select, and judge the result beside its baselines.

    Raises: what `Selector.select` raises.
    """
    budget = Budget.parse(budget) if isinstance(budget, str) else budget
    chosen, easiest, random = (one.select(problem, budget, seed=seed) for one in (selector, Easiest(), Random()))
    judge = selector.judged_by().ready(problem, budget.room(problem.units(budget.unit)), seed=seed)
    return Trial(
        chosen=chosen,
        easiest=easiest,
        random=random,
        upper_objective=judged(judge, chosen.units),
        upper_objective_easiest=judged(judge, easiest.units),
        upper_objective_random=judged(judge, random.units),
    )


def judged(judge: Judge, units: Tensor) -> float:
    """The upper objective of these units [r], rows as a selection has them, after unlearning them."""
    return judge.value(torch.searchsorted(judge.room.rows, units))
