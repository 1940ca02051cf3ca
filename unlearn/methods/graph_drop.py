"""The baseline that only takes the forgotten out of data and graph."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Fitted


@register
@dataclass(frozen=True)
class GraphDrop(Unlearner):
    """The old parameters over remaining data and remaining graph.

    Memory: those data and that graph.
    """

    name = "graph_drop"
    baseline = True
    works_on = Fitted

    def _forget(
        self, problem: Fitted, remaining: Fitted, forget: ForgetSet, state: State | None
    ) -> tuple[Fitted, State | None]:
        return remaining, state
