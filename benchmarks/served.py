"""Methods under a time limit: they serve first, and a comparison measures what came of it."""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tqdm import tqdm

from unlearn.forget import ForgetSet
from unlearn.methods.base import OnFailure, State, Unlearner, UnlearnResult
from unlearn.problem import Fitted, Problem

_RETRAINS = 2  # that a comparison makes of a model of the method's own


class OutOfTime(Exception):
    """The time limit has passed."""


@dataclass(frozen=True, eq=False)
class Served(Unlearner):
    """A method that has served its requests on one model, or the reason why it has not.

    It stands in a comparison for the method itself and hands out what it did, its own seconds with it.
    """

    label: str
    method: Unlearner
    state: State | None = None
    results: dict[ForgetSet, UnlearnResult] = field(default_factory=dict)
    reason: str | None = None

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # the label: one method in two settings
        return self.label

    @property
    def exact(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.method.exact

    @property
    def seconds(self) -> float:
        """What it took to prepare and to serve all requests."""
        return sum(result.seconds for result in self.results.values()) + (self.state.seconds if self.state else 0.0)

    def arguments(self) -> dict[str, Any]:
        return self.method.arguments()

    def obstacle(self, problem: Fitted) -> str | None:
        return self.reason

    def prepare(self, problem: Any) -> State | None:
        return self.state

    def subject(self, problem: Any, state: State | None) -> Fitted:
        return self.method.subject(problem, state)

    def forget(
        self, problem: Any, forget: ForgetSet, state: State | None = None, *, on_failure: OnFailure = "keep"
    ) -> UnlearnResult:
        return self.results[forget]

    def _forget(
        self, problem: Any, remaining: Any, forget: ForgetSet, state: State | None
    ) -> tuple[Fitted, State | None]:
        served = self.results[forget]
        return served.problem, served.state


def serve_all(
    methods: Iterable[tuple[str, Unlearner]], problem: Fitted, requests: Sequence[ForgetSet], *, limit: float
) -> list[Served]:
    """Every (label, method) within `limit` seconds, preparation included; those that took least come first."""
    resolved = [problem.resolve(forget) for forget in requests]
    if isinstance(problem, Problem):  # no method pays for what is slow only once
        remaining = problem.without(resolved[0])
        remaining.value_and_gradient(remaining.params)
    bar = tqdm(list(methods), desc="methods", disable=None, leave=False)
    served: list[Served] = []
    for label, method in bar:
        bar.set_postfix_str(label)
        gc.collect()
        served.append(_serve(label, method, problem, resolved, limit))
    return sorted(served, key=lambda one: one.seconds)


def _serve(label: str, method: Unlearner, problem: Fitted, requests: Sequence[ForgetSet], limit: float) -> Served:
    """A method that cannot be applied, runs out of time or breaks says so; the others go on."""
    if (obstacle := method.obstacle(problem)) is not None:
        return Served(label, method, reason=obstacle)
    try:
        with deadline(limit):
            state = method.prepare(problem)
            results = {forget: method.forget(problem, forget, state) for forget in requests}
    except OutOfTime:
        return Served(label, method, reason=f"`{label}` was stopped after {limit:g} s")
    except Exception as error:  # an hour of the others' figures must not be lost with one method
        return Served(label, method, reason=f"`{label}` failed: {type(error).__name__}: {error}")
    if state is not None and method.subject(problem, state) is not problem:
        retrains = _RETRAINS * state.seconds
        if retrains > limit:
            told = (
                f"its own retrains, to measure it against, would take about {retrains:.0f} s (the limit is {limit:g})"
            )
            return Served(label, method, reason=f"`{label}` serves with a model of its own: {told}")
    return Served(label, method, state, results)


@contextmanager
def deadline(seconds: float) -> Generator[None]:
    """Raises OutOfTime inside once the seconds have passed; on the main thread of a POSIX system only."""

    def ring(*_: object) -> NoReturn:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
