"""What a model that can forget by itself does."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Problem, SelfUnlearning


@register
@dataclass(frozen=True)
class Native(Unlearner):
    """The model's own rule of forgetting: an exact update of a closed form, a retrain of the shards concerned.

    Nothing is prepared; what the rule keeps between requests is part of the model.

    Memory: that of the rule, which the model's own class states.
    """

    name = "native"
    works_on = SelfUnlearning

    def _remaining(self, problem: SelfUnlearning, forget: ForgetSet) -> SelfUnlearning:
        # The rule cuts the data itself; only a residual needs them cut beforehand.
        return problem.without(forget) if isinstance(problem, Problem) else problem

    def _forget(
        self, problem: SelfUnlearning, remaining: SelfUnlearning, forget: ForgetSet, state: State | None
    ) -> tuple[SelfUnlearning, State | None]:
        return problem.forget(forget), state
