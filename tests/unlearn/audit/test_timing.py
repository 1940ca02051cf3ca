"""Seconds of a method: of how many calls, and which."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from recsys.data import ratio, synthetic
from recsys.problem import RecommenderProblem
from recsys.scorer import RankingScorer
from unlearn.audit import compare
from unlearn.audit.timing import timed
from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, UnlearnResult, method
from unlearn.problem import Problem


@pytest.fixture(scope="module")
def result() -> UnlearnResult:
    data = ratio(synthetic(60, 40, 600, seed=0), seed=0).train
    problem = RecommenderProblem.build(data, dim=4)
    return method("no_op").forget(problem, ForgetSet(users=tuple(data.users.take([3]))))


@pytest.mark.parametrize(
    ("seconds", "expected", "calls"),
    [
        ([0.09, 0.03, 0.05, 0.02, 0.04], 0.04, 5),  # short: five calls, the first one the slowest
        ([0.6, 0.1], 0.6, 1),  # a second like it would pass the limit
        ([0.3, 0.4, 0.1], 0.35, 2),
    ],
)
def test_a_short_call_is_repeated_and_its_median_taken(
    result: UnlearnResult, seconds: list[float], expected: float, calls: int
) -> None:
    served: list[UnlearnResult] = []
    passed: Iterator[float] = iter(seconds)

    def serve() -> UnlearnResult:
        changed: dict[str, Any] = {"seconds": next(passed), "records_removed": len(served)}
        served.append(replace(result, **changed))
        return served[-1]

    found = timed(serve)
    assert found.seconds == pytest.approx(expected)
    assert len(served) == calls
    assert found == replace(served[0], seconds=found.seconds)


@pytest.mark.parametrize("enabled", [True, False])
def test_nothing_is_collected_meanwhile_and_afterwards_all_is_as_it_was(enabled: bool) -> None:
    def serve() -> UnlearnResult:
        raise InterruptedError(f"collects: {gc.isenabled()}")

    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(InterruptedError, match="collects: False"):
            timed(serve)
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


@dataclass(frozen=True)
class Counted(Unlearner):
    """Leaves the graph cut, and says how often it was asked to."""

    name = "counted"
    asked: list[ForgetSet] = field(default_factory=list[ForgetSet])

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        self.asked.append(forget)
        return remaining, state


def test_a_comparison_takes_its_seconds_that_way() -> None:
    split = ratio(synthetic(60, 40, 600, seed=0), seed=0)
    problem = RecommenderProblem.build(split.train, dim=4).fit()
    counted, forget = Counted(), ForgetSet(users=tuple(split.train.users.take([3])))
    compare(problem, [forget], [counted], RankingScorer(split.test), seed=0)
    assert counted.asked == [forget] * 5
