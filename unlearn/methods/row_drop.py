"""The baseline that also clears the rows of what is forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Problem


@register
@dataclass(frozen=True)
class RowDrop(Unlearner):
    """Like `graph_drop`, with the rows that no remaining record reaches cleared: those of forgotten users and items.

    For single interactions, and for problems without rows of their own for anyone, it is `graph_drop`.

    Memory: one vector of the parameters' size.
    """

    name = "row_drop"
    baseline = True

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        return remaining.with_params(remaining.settled(forget)), state
