"""Unlearning by re-convergence: the flagship."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Fitted, Problem
from unlearn.solvers.landscape import Landscape
from unlearn.solvers.lbfgs import lbfgs


@register
@dataclass(frozen=True)
class Reconverge(Unlearner):
    """Minimise the objective on remaining data and remaining graph, from where the model stands.

    Rows that only the forgotten data determined go to their known optimum first. Then preconditioned L-BFGS runs on the
    remaining objective until the residual has fallen to `reduction` of what the deletion left, or `max_iterations`:
    over the few directions that the request moves, where the problem knows them and they are few, else over all
    parameters. With a training objective that has one minimiser, the limit is the model that never saw the forgotten
    data; how near it came is the residual, and where the problem proves one, the bound.

    No paper: the design is our own. `prepare` keeps what does not depend on the request (for a recommender its final
    embeddings: about as large as the model), and every request leaves it fresh for the next.

    Args:
        tail: share of the squared first-order push of the request that the directions may leave out; 0 moves all
            parameters. Its root is what they leave of the residual, so a smaller `reduction` goes on over all of them.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
    """

    name = "reconverge"
    reduction: float = 0.1
    max_iterations: int = 50
    memory: int = 20
    tail: float = 0.01

    def __post_init__(self) -> None:
        requirements = {
            "reduction": ("at least 0 and below 1", 0 <= self.reduction < 1),
            "max_iterations": ("a positive integer", self.max_iterations >= 1),
            "memory": ("a positive integer", self.memory >= 1),
            "tail": ("at least 0 and below 1", 0 <= self.tail < 1),
        }
        problems = [
            f"`{name}` must be {what} for `reconverge` (got {getattr(self, name)!r})"
            for name, (what, fine) in requirements.items()
            if not fine
        ]
        if problems:
            raise ValueError("\n".join(problems))

    def obstacle(self, problem: Fitted) -> str | None:
        if (why := super().obstacle(problem)) is not None:
            return why
        assert isinstance(problem, Problem)
        if problem.stochastic:
            return f"`{self.name}` needs a training objective to settle; this one is only sampled (use `two_level`)."
        return None

    def prepare(self, problem: Problem) -> State | None:
        self._check(problem)
        started = time.perf_counter()
        survey = problem.survey() if self.tail else None
        return None if survey is None else State.of(survey, seconds=time.perf_counter() - started)

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        state = state or self.prepare(problem)
        local = remaining.locality(problem, forget, state.payload if state else None, tail=self.tail)
        self._minimise(
            local.landscape, local.start, reduction=max(self.reduction, 0.0 if local.whole else self.tail**0.5)
        )
        params, survey = local.finish()
        if not local.whole and self.reduction < self.tail**0.5:
            goal = self.reduction * remaining.with_params(remaining.settled(forget)).residual()
            whole = remaining.with_params(params).locality(problem, forget, None, tail=0.0)
            self._minimise(whole.landscape, whole.start, tolerance=goal)
            params, _ = whole.finish()
            survey = remaining.with_params(params).survey()
        return remaining.with_params(params), replace(state, payload=survey) if state else None

    def _minimise(self, landscape: Landscape, start: Tensor, *, reduction: float = 0.0, tolerance: float = 0.0) -> None:
        lbfgs(
            landscape,
            start,
            tolerance=tolerance,
            reduction=reduction,
            max_iterations=self.max_iterations,
            memory=self.memory,
        )
