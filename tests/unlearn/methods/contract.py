"""What every unlearning method must do, whatever it is: a suite to inherit from."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tests.unlearn.toys import ridge, tiny_recommender
from unlearn.forget import ForgetSet
from unlearn.methods import State, Unlearner, VerificationFailed, method
from unlearn.problem import Params, Problem

KEEPS_THE_DATA = {"no_op"}
"""Baselines that go on with the old data on purpose."""


@dataclass(frozen=True)
class Case:
    """A trained problem and requests to it: two that can follow each other, one that names what is not there."""

    problem: Problem
    requests: tuple[ForgetSet, ForgetSet]
    unknown: ForgetSet


@functools.cache
def ridge_case(dtype: torch.dtype) -> Case:
    requests = (ForgetSet(records=(3, 0, 17)), ForgetSet(records=(39, 1)))
    return Case(ridge(dtype).fit(), requests, ForgetSet(records=(5, 40)))


@functools.cache
def recommender_case(dtype: torch.dtype) -> Case:
    problem = tiny_recommender(dtype).fit()
    frame = problem.data.frame()
    by_user = frame.groupby("user")
    users = [user for user, group in by_user if 4 <= len(group) <= 12]
    single = by_user.get_group(users[2]).iloc[0]
    mixed = ForgetSet(
        items=(problem.data.items.ids[2],), interactions=((single["user"], single["item"]),), users=(users[1],)
    )
    unknown = ForgetSet(users=(users[3], "nobody"), items=("nothing",))
    return Case(problem, (ForgetSet(users=(users[0],)), mixed), unknown)


CASES: dict[str, Callable[[], Case]] = {
    "ridge, float64": lambda: ridge_case(torch.float64),
    "ridge, float32": lambda: ridge_case(torch.float32),
    "recommender, float64": lambda: recommender_case(torch.float64),
    "recommender, float32": lambda: recommender_case(torch.float32),
}


def snapshot(problem: Problem) -> dict[str, Any]:
    """Everything about a problem that a method could have changed, as values."""
    return {
        "params": {name: value.clone() for name, value in problem.params.items()},
        "losses": problem.record_losses(problem.params).detach().clone(),
        "objective": float(problem.objective(problem.params)),
        "n_records": problem.n_records,
        "history": problem.history,
        "options": problem.options,
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before.keys() == after.keys()
    for name, value in before.items():
        if isinstance(value, dict):
            assert_same(value, after[name])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, after[name]), name
        else:
            assert value == after[name], name


def broken(unlearner: Unlearner) -> Unlearner:
    """The same method, ending in numbers that are none."""

    def ruin(
        self: Unlearner, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        after, state = type(unlearner)._forget(self, problem, remaining, forget, state)
        ruined: Params = {name: torch.full_like(value, torch.nan) for name, value in after.params.items()}
        return after.with_params(ruined), state

    return type("Broken", (type(unlearner),), {"_forget": ruin})(**unlearner.arguments())


class UnlearnerContract(ABC):
    """Inherit, implement `make`, and the suite runs on every case."""

    @abstractmethod
    def make(self) -> Unlearner:
        """The method under test."""

    @pytest.fixture(params=list(CASES))
    def case(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]()

    @pytest.fixture
    def unlearner(self) -> Unlearner:
        return self.make()

    def test_an_empty_request_is_the_identity(self, unlearner: Unlearner, case: Case) -> None:
        state = unlearner.prepare(case.problem)
        result = unlearner.forget(case.problem, ForgetSet(), state)
        assert result.problem is case.problem
        assert result.state is state
        assert (result.records_removed, result.n_rows_changed, result.residual_ratio) == (0, 0, 1.0)

    def test_nothing_given_is_mutated(self, unlearner: Unlearner, case: Case) -> None:
        before = snapshot(case.problem)
        state = unlearner.prepare(case.problem)
        unlearner.forget(case.problem, case.requests[0], state)
        assert_same(before, snapshot(case.problem))

    def test_unknown_ids_are_refused_and_change_nothing(self, unlearner: Unlearner, case: Case) -> None:
        before = snapshot(case.problem)
        with pytest.raises(KeyError, match="unknown or already forgotten"):
            unlearner.forget(case.problem, case.unknown)
        assert_same(before, snapshot(case.problem))
        known = case.problem.resolve(case.unknown, unknown="skip")
        assert unlearner.forget(case.problem, known).forget == known

    def test_what_is_forgotten_is_gone_and_stays_gone(self, unlearner: Unlearner, case: Case) -> None:
        first = unlearner.forget(case.problem, case.requests[0], unlearner.prepare(case.problem))
        second = unlearner.forget(first.problem, case.requests[1], first.state)
        if unlearner.name in KEEPS_THE_DATA:
            assert second.problem.n_records == case.problem.n_records
            return
        everything = case.requests[0] | case.requests[1]
        assert not second.problem.resolve(everything, unknown="skip")
        removed = first.records_removed + second.records_removed
        assert second.problem.n_records == case.problem.n_records - removed
        assert second.problem.history.removed == (0 if unlearner.exact else removed)
        for repeated in case.requests:
            with pytest.raises(KeyError, match="unknown or already forgotten"):
                unlearner.forget(second.problem, repeated)

    def test_the_result_stands_on_the_remaining_data(self, unlearner: Unlearner, case: Case) -> None:
        result = unlearner.forget(case.problem, case.requests[0], unlearner.prepare(case.problem))
        remaining = case.problem.without(case.requests[0]).with_params(result.problem.params)
        assert result.residual_after == pytest.approx(remaining.residual())
        same = float(remaining.objective(remaining.params)) == float(result.problem.objective(result.problem.params))
        assert same is (unlearner.name not in KEEPS_THE_DATA)

    def test_the_same_call_gives_the_same_bits(self, unlearner: Unlearner, case: Case) -> None:
        first, second = (
            unlearner.forget(case.problem, case.requests[1], unlearner.prepare(case.problem)).problem.params
            for _ in range(2)
        )
        assert_same(first, second)

    def test_the_result_tells_what_was_done(self, unlearner: Unlearner, case: Case) -> None:
        result = unlearner.forget(case.problem, case.requests[0], unlearner.prepare(case.problem))
        assert (result.method, result.arguments) == (unlearner.name, unlearner.arguments())
        assert method(result.method, **result.arguments) == unlearner
        assert result.forget == case.requests[0]
        assert result.records_removed == case.problem.records(case.requests[0]).numel() > 0
        assert result.residual_before == pytest.approx(case.problem.without(case.requests[0]).residual())
        assert 0 <= result.residual_after < float("inf")
        assert result.seconds > 0
        assert not result.fallback
        assert list(result.rows_changed) == list(case.problem.params)
        for name, before in case.problem.params.items():
            after = result.problem.params[name]
            assert (after.dtype, after.shape) == (before.dtype, before.shape)
            assert not after.requires_grad
            assert torch.equal(result.rows_changed[name], (before != after).any(1))

    def test_failure_is_kept_raised_or_retrained(self, unlearner: Unlearner, case: Case) -> None:
        before = snapshot(case.problem)
        unlearner = broken(unlearner)
        kept = unlearner.forget(case.problem, case.requests[0], on_failure="keep")
        assert not kept.fallback
        assert all(value.isnan().all() for value in kept.problem.params.values())
        with pytest.raises(VerificationFailed, match="nothing was changed"):
            unlearner.forget(case.problem, case.requests[0], on_failure="raise")
        retrained = unlearner.forget(case.problem, case.requests[0], on_failure="retrain")
        assert retrained.fallback
        assert_same(case.problem.without(case.requests[0]).fit().params, retrained.problem.params)
        assert retrained.problem.history.removed == 0
        assert_same(before, snapshot(case.problem))
