"""The baseline that does nothing."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Fitted


@register
@dataclass(frozen=True)
class NoOp(Unlearner):
    """Keeps the old parameters and goes on scoring with the old data and graph: how much there was to forget.

    Memory: nothing beside the remaining data and graph, which every request cuts.
    """

    name = "no_op"
    baseline = True
    works_on = Fitted

    def _forget(
        self, problem: Fitted, remaining: Fitted, forget: ForgetSet, state: State | None
    ) -> tuple[Fitted, State | None]:
        return problem, state
