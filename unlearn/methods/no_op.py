"""The baseline that does nothing."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Problem


@register
@dataclass(frozen=True)
class NoOp(Unlearner):
    """Keeps the old parameters and goes on scoring with the old data and graph: how much there was to forget."""

    name = "no_op"

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        return problem, state
