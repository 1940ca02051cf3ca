"""Two short trainings, with and without the forgotten data, whose difference corrects the long one."""

from __future__ import annotations

import time
from dataclasses import dataclass

from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import State, Unlearner, register
from unlearn.params import Params
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class TwoLevel(Unlearner):
    """Adds to the model what the deletion changes in a training that is shorter and faster, but drawn alike.

        x <- x + c(remaining) - c(all),     c the same training in `share` of its epochs at `lr_factor` times its rate

    The idea is that of two-level Monte Carlo (Giles, "Multilevel Monte Carlo path simulation", 2008): a cheap
    simulation is a poor estimate of the model, yet the difference of two coupled ones is a good estimate of what the
    deletion does, because what they have in common cancels: the start, every batch and every negative of those who stay
    (randomness is keyed by user and item). Ours, from no paper on unlearning. It is meant for training by sampling,
    where there is no solution to converge to and continued training drifts farther than a deletion moves the model.

    Requests compose without drift: after any number of them the model is x + c(what is left) - c(all), so the
    correction is never built on an earlier correction. x itself is the original's, and what the short training does not
    reproduce of the forgotten stays in it: rows of the forgotten are cleared, the rest is only as good as the measured
    gap. `prepare` runs the first short training.

    Memory: one set of parameters, and that of training.

    Args:
        share: of the epochs; the cost of a request is this share of a retrain.
        lr_factor: on the learning rate, to reach in fewer epochs about what training reaches.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
    """

    share: float = 0.15
    lr_factor: float = 3.0

    name = "two_level"

    def __post_init__(self) -> None:
        require(self, share=("above 0 and at most 1", 0 < self.share <= 1), lr_factor=("positive", self.lr_factor > 0))

    def _obstacle(self, problem: Problem) -> str | None:
        if problem.shortened(self.share, self.lr_factor) is None:
            return f"`{self.name}` needs training by epochs; this one converges (use `reconverge`)."
        return None

    def prepare(self, problem: Problem) -> State:
        self._check(problem)
        started = time.perf_counter()
        short = self._short(problem)
        return State.of(short, seconds=elapsed(started))

    def _short(self, problem: Problem) -> Params:
        return problem.fit(options=problem.shortened(self.share, self.lr_factor)).params

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        before = state or self.prepare(problem)
        started = time.perf_counter()
        short = self._short(remaining)
        moved = {name: value + short[name] - before.payload[name] for name, value in problem.params.items()}
        after = remaining.with_params(moved)
        refreshed = State.of(short, seconds=elapsed(started))
        return after.with_params(after.settled(forget)), refreshed
