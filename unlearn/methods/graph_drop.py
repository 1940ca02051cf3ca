"""The baseline that only takes the forgotten out of data and graph."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Problem


@register
@dataclass(frozen=True)
class GraphDrop(Unlearner):
    """The old parameters over remaining data and remaining graph."""

    name = "graph_drop"

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        return remaining, state
