"""Unlearning by re-convergence: the flagship."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Locality, Problem
from unlearn.solvers.lbfgs import lbfgs
from unlearn.solvers.room import require_room

# What the directions leave out is not what the iterations leave: more than the accuracy is spared where these are few.
_TAIL = 10.0  # of the cube of the accuracy: by the square, with as many directions at .2, .1 ends at .2, too
_LEFT_OUT = 1.25  # of the accuracy
_FINEST_BY_DIRECTIONS = 0.1  # LastFM: the directions that leave out 1 % of one user's first push end at a gap of .1
_FINEST_BY_ROW_SPACE = 0.01  # columns that rounding left empty may fill on the long way beyond


@register
@dataclass(frozen=True)
class Reconverge(Unlearner):
    """Minimise the objective on remaining data and remaining graph, from where the model stands.

    Rows that only the forgotten data determined go to their known optimum first. Then preconditioned L-BFGS runs on the
    remaining objective until what is left of the way is estimated at `accuracy`: over the few directions that the
    request moves, where the problem knows them and they are few, and from there over all where the others still hold
    more than that; else over all from the outset. With a training objective that has one minimiser, the limit is the
    model that never saw the forgotten data.

    Except where what remains is best in more columns than the model's table spans, as where interactions leave users
    who were all alike: no step leaves that span but for rounding, so the start is near a saddle and most of the way may
    be left, whatever the accuracy (measured: .8 to .96 on matrix factorisation, all users alike or in blocks). There
    the bound of `optimality()` is wide (.14 to .61 of the scores), and its `ascent` is a column to add.

    No paper: the design is our own. `prepare` keeps what does not depend on the request (for a recommender its final
    embeddings: about as large as the model), and every request leaves it fresh for the next.

    Memory: that, and 2 `memory` + 12 vectors of what moves, which over few directions are short. Where main memory
    cannot hold them the request is refused. A problem without a landscape of its own holds more.

    Args:
        accuracy: share of the way to the minimiser that may be left, as the solver estimates it; 0 goes on until
            rounding leaves nothing to gain. The way is that of the scores where the objective is strongly convex in
            them (`whole_data` on a linear recommender), so that what is left to gain tells what is left of it, and
            what the objective gains elsewhere and below .1. The directions may leave out ten times its cube of the
            request's squared first-order push, and of the way what an estimate puts at 1.25 times it, which sees about
            a third (`recsys.linear.probes`): what that comes to is for measurements to say. Below .1, finer than they
            reach, all that the table's rows span moves, and below .01 all parameters.
        max_iterations: stops there whatever is left, over the directions and again over all parameters.
        memory: pairs of L-BFGS.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
    """

    name = "reconverge"
    accuracy: float = 0.2
    max_iterations: int = 500
    memory: int = 20

    def __post_init__(self) -> None:
        require(
            self,
            accuracy=("at least 0 and below 1", 0 <= self.accuracy < 1),
            max_iterations=("a positive integer", self.max_iterations >= 1),
            memory=("a positive integer", self.memory >= 1),
        )

    def _obstacle(self, problem: Problem) -> str | None:
        if problem.stochastic:
            return f"`{self.name}` needs a training objective to settle; this one is only sampled (use `two_level`)."
        return None

    def prepare(self, problem: Problem) -> State | None:
        self._check(problem)
        started = time.perf_counter()
        survey = problem.survey() if self.accuracy >= _FINEST_BY_ROW_SPACE else None
        return None if survey is None else State.of(survey, seconds=elapsed(started))

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        state = state or self.prepare(problem)
        known = state.payload if state else None
        tail = _TAIL * self.accuracy**3 if self.accuracy >= _FINEST_BY_DIRECTIONS else 0.0
        local = remaining.locality(problem, forget, known, tail=tail)
        self._solve(local)
        while (wider := local.widened(_LEFT_OUT * self.accuracy)) is not None:
            self._solve(local := wider)
        params, survey = local.finish()
        return remaining.with_params(params), replace(state, payload=survey) if state else None

    def _solve(self, local: Locality) -> None:
        accuracy, most, memory = self.accuracy, self.max_iterations, self.memory
        require_room(local.start, memory=memory, max_iterations=most, remedy=f"lower `memory` of `{self.name}`")
        lbfgs(local.landscape, local.start, accuracy=accuracy, max_iterations=most, memory=memory)
