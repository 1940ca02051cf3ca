"""Unlearning by re-convergence: the flagship."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Problem, flatten, unflatten
from unlearn.solvers.lbfgs import lbfgs


@register
@dataclass(frozen=True)
class Reconverge(Unlearner):
    """Minimise the objective on remaining data and remaining graph, from where the model stands.

    Rows that only the forgotten data determined go to their known optimum first; then preconditioned L-BFGS on the
    remaining objective until the residual has fallen to `reduction` of what the deletion left, or `max_iterations`.
    With a training objective that has one minimiser, the limit is the model that never saw the forgotten data; how
    near it came is the residual, and where the problem proves one, the bound.

    No paper: the design is our own. Nothing is prepared and nothing is kept between requests.
    """

    name = "reconverge"
    reduction: float = 0.1
    max_iterations: int = 50
    memory: int = 20

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        start = remaining.settled(forget)
        solution = lbfgs(
            remaining.landscape(),
            flatten(start),
            reduction=self.reduction,
            max_iterations=self.max_iterations,
            memory=self.memory,
        )
        return remaining.with_params(unflatten(solution.x, start)), state
