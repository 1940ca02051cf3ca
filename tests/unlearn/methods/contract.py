"""What every unlearning method must do, whatever it is: a suite to inherit from."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data import Interactions
from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.closed_ridge import ClosedRidge
from tests.unlearn.toys import ridge, tiny_data, tiny_recommender, tiny_surrogate
from unlearn.forget import ForgetSet
from unlearn.methods import MissingRequirement, State, Unlearner, UnlearnResult, VerificationFailed, method
from unlearn.methods.base import finite
from unlearn.params import Params
from unlearn.problem import Fitted, Problem

KEEPS_THE_DATA = {"no_op"}
"""Baselines that go on with the old data on purpose."""

KEEPS_THE_ROWS = {"no_op", "graph_drop"}
"""Baselines that keep, on purpose, what the forgotten alone determined."""

STARTS_FURTHER_BACK = {"rewind", "delta_grad"}
"""Methods that replay training from what it kept on its way."""


ENDS_BY_WHAT_REMAINS = {"no_op", "graph_drop", "row_drop", "retrain", "native", "sharding", "rewind", "two_level"}
"""Methods whose result is a function of the remaining data and of where the first request began."""

SETTLES = {"reconverge", "newton", "delta_grad"}
"""Methods that go most of the way to what such a function gives."""


@dataclass(frozen=True)
class Case:
    """A trained model and requests to it: two that can follow each other, one that names what is not there."""

    problem: Any  # Fitted, of whatever kind
    requests: tuple[ForgetSet, ForgetSet]
    unknown: ForgetSet
    queries: torch.Tensor


RECORDS = (ForgetSet(records=(3, 0, 17)), ForgetSet(records=(39, 1)))


@functools.cache
def ridge_case(dtype: torch.dtype, **options: Any) -> Case:
    return Case(ridge(dtype, **options).fit(), RECORDS, ForgetSet(records=(5, 40)), torch.eye(5, dtype=dtype))


@functools.cache
def closed_case(dtype: torch.dtype) -> Case:
    return Case(ClosedRidge.build(dtype), RECORDS, ForgetSet(records=(5, 40)), torch.eye(5, dtype=dtype))


@functools.cache
def recommender_case(dtype: torch.dtype) -> Case:
    return of_recommender(tiny_recommender(dtype).fit())


@functools.cache
def sampled_case() -> Case:
    """Trained by sampling, with everything kept that training can keep."""
    options = TrainingOptions(
        seed=1, epochs=6, batch_size=100, lr=0.05, keep=frozenset({"checkpoints", "optimizer"}),
        checkpoint_every=2,
    )  # fmt: skip
    built = RecommenderProblem.build(tiny_data(), objective=BPR(), options=options, dtype=torch.float64, dim=6)
    return of_recommender(built.fit())


def of_recommender(problem: Any) -> Case:
    data: Interactions = problem.data
    frame = data.frame()
    by_user = frame.groupby("user")
    users = [user for user, group in by_user if 4 <= len(group) <= 12]
    single = by_user.get_group(users[2]).iloc[0]
    mixed = ForgetSet(items=(data.items.ids[2],), interactions=((single["user"], single["item"]),), users=(users[1],))
    unknown = ForgetSet(users=(users[3], "nobody"), items=("nothing",))
    pairs = torch.cartesian_prod(torch.arange(data.n_users), torch.arange(data.n_items))
    return Case(problem, (ForgetSet(users=(users[0],)), mixed), unknown, pairs)


@functools.cache
def social_case() -> Case:
    """First ties alone, which no record goes with, then a user with ties and a tie of others."""
    problem = tiny_recommender(model="social_lightgcn").fit()
    ties, data = problem.units("tie"), problem.data
    (user,) = data.users.take(data.ties[:1, 0])
    whole = ties.forget_set(np.arange(8))
    rest = problem.data.without(whole | ForgetSet(users=(user,)))
    second = ForgetSet(users=(user,)) | rest.units("tie").forget_set(np.arange(2))
    pairs = torch.cartesian_prod(torch.arange(data.n_users), torch.arange(data.n_items))
    return Case(problem, (whole, second), ForgetSet(ties=(*whole.ties[:1], ("nobody", user))), pairs)


@functools.cache
def surrogate_case() -> Case:
    """A surrogate of influence: first ties alone, which change labels but take no record, then users and ties."""
    problem = tiny_surrogate().fit()
    ties = problem.units("tie")
    whole = ties.forget_set(np.arange(3))
    rest = problem.data.without(whole)
    second = ForgetSet(users=("p1", "p9")) | rest.without(ForgetSet(users=("p1", "p9"))).units("tie").forget_set(
        np.arange(2)
    )
    queries = torch.cartesian_prod(torch.arange(len(problem.data.labels.sets)), torch.arange(12))
    return Case(problem, (whole, second), ForgetSet(ties=(*whole.ties[:1], ("p0", "nobody"))), queries)


CASES: dict[str, Callable[[], Case]] = {
    "ridge, float64": lambda: ridge_case(torch.float64),
    "ridge, float32": lambda: ridge_case(torch.float32),
    "recommender, float64": lambda: recommender_case(torch.float64),
    "recommender, float32": lambda: recommender_case(torch.float32),
    "sampled recommender": sampled_case,
    "social recommender": social_case,
    "surrogate of influence": surrogate_case,
    "closed form": lambda: closed_case(torch.float64),
}


def applicable(unlearner: Unlearner) -> list[str]:
    """The cases that the method can be applied to."""
    return [name for name, case in CASES.items() if unlearner.obstacle(case().problem) is None]


def inapplicable(unlearner: Unlearner) -> list[str]:
    return [name for name in CASES if name not in applicable(unlearner)]


def snapshot(model: Fitted, case: Case) -> dict[str, Any]:
    """Everything about a model that a method could have changed, as values."""
    found = {
        "outputs": model.outputs(case.queries).clone(),
        "n_records": model.n_records,
        "history": model.history,
    }
    if not isinstance(model, Problem):
        return found
    return found | {
        "params": {name: value.clone() for name, value in model.params.items()},
        "losses": model.record_losses(model.params).detach().clone(),
        "objective": float(model.objective(model.params)),
        "options": model.options,
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


@dataclass(frozen=True)
class Served:
    """Both requests of a case, one after the other, and what everything was before the first."""

    case: dict[str, Any]
    subject: dict[str, Any]
    state: State | None
    first: UnlearnResult
    second: UnlearnResult


@functools.cache
def _served(unlearner: Unlearner, name: str) -> Served:
    case = CASES[name]()
    before, state = snapshot(case.problem, case), unlearner.prepare(case.problem)
    of_subject = snapshot(unlearner.subject(case.problem, state), case)
    first = unlearner.forget(case.problem, case.requests[0], state)
    second = unlearner.forget(first.problem, case.requests[1], first.state)
    return Served(before, of_subject, state, first, second)


def served(unlearner: Unlearner, case: Case) -> Served:
    """By one run for all tests that only look at it: methods take their time."""
    return _served(unlearner, next(name for name, make in CASES.items() if make() is case))


def broken(unlearner: Unlearner, after: Problem) -> Unlearner:
    """The same method, but that it ends in the numbers of `after` where all are none."""

    def ruin(
        self: Unlearner, problem: Any, remaining: Any, forget: ForgetSet, state: State | None
    ) -> tuple[Any, State | None]:
        ruined: Params = {name: torch.full_like(value, torch.nan) for name, value in after.params.items()}
        return after.with_params(ruined), state

    return type("Broken", (type(unlearner),), {"_forget": ruin})(**unlearner.arguments())


class UnlearnerContract(ABC):
    """Inherit, give `unlearner` and `case`, and the suite runs."""

    @pytest.fixture
    @abstractmethod
    def unlearner(self) -> Unlearner:
        """The method under test."""

    @pytest.fixture
    @abstractmethod
    def case(self) -> Case:
        """One that the method can be applied to."""

    def test_an_empty_request_is_the_identity(self, unlearner: Unlearner, case: Case) -> None:
        state = unlearner.prepare(case.problem)
        result = unlearner.forget(case.problem, ForgetSet(), state)
        assert result.problem is unlearner.subject(case.problem, state)
        assert result.state is state
        assert (result.records_removed, result.n_rows_changed) == (0, 0)
        same = result.problem
        expected = same.residual() if isinstance(same, Problem) and not same.stochastic else None
        assert result.residual_before == result.residual_after == expected

    def test_nothing_given_is_mutated(self, unlearner: Unlearner, case: Case) -> None:
        run = served(unlearner, case)
        assert_same(run.case, snapshot(case.problem, case))
        assert_same(run.subject, snapshot(unlearner.subject(case.problem, run.state), case))

    def test_unknown_ids_are_refused_and_change_nothing(self, unlearner: Unlearner, case: Case) -> None:
        before = snapshot(case.problem, case)
        with pytest.raises(KeyError, match="unknown or already forgotten"):
            unlearner.forget(case.problem, case.unknown)
        assert_same(before, snapshot(case.problem, case))
        known = case.problem.resolve(case.unknown, unknown="skip")
        assert unlearner.forget(case.problem, known).forget == known

    def test_what_is_forgotten_is_gone_and_stays_gone(self, unlearner: Unlearner, case: Case) -> None:
        run = served(unlearner, case)
        first, second = run.first, run.second
        if unlearner.name in KEEPS_THE_DATA:
            assert second.problem.n_records == case.problem.n_records
            return
        everything = case.requests[0] | case.requests[1]
        assert not second.problem.resolve(everything, unknown="skip")
        removed = first.records_removed + second.records_removed
        assert second.problem.n_records == case.problem.n_records - removed
        if isinstance(second.problem, Problem):
            assert second.problem.history.removed == (0 if unlearner.exact else removed)
        for repeated in case.requests:
            with pytest.raises(KeyError, match="unknown or already forgotten"):
                unlearner.forget(second.problem, repeated, second.state)

    def test_the_order_of_requests_is_in_no_data_and_in_no_result_by_what_remains(
        self, unlearner: Unlearner, case: Case
    ) -> None:
        """Steps of a fixed size, or by what each request says, end elsewhere in another order; data never do."""
        run = served(unlearner, case)
        first = unlearner.forget(case.problem, case.requests[1], unlearner.prepare(case.problem))
        left = first.problem.resolve(case.requests[0], unknown="skip")  # a user's ties have gone already
        one, other = run.second.problem, unlearner.forget(first.problem, left, first.state).problem
        assert (one.n_records, one.history.removed) == (other.n_records, other.history.removed)
        assert not other.resolve(case.requests[0] | case.requests[1], unknown="skip") or unlearner.name == "no_op"
        if isinstance(one, Problem) and isinstance(other, Problem):
            assert torch.equal(one.record_losses(one.params), other.record_losses(one.params))
        found, expected = other.outputs(case.queries), one.outputs(case.queries)
        if unlearner.name in ENDS_BY_WHAT_REMAINS:
            exact = EXACT64 if expected.dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
            torch.testing.assert_close(found, expected, **exact)
        if unlearner.name in SETTLES:
            moved = float((expected - run.subject["outputs"]).norm())
            assert float((found - expected).norm()) <= 0.2 * moved

    def test_the_result_stands_on_the_remaining_data(self, unlearner: Unlearner, case: Case) -> None:
        result = served(unlearner, case).first
        if not isinstance(result.problem, Problem):
            assert (result.residual_before, result.residual_after, result.rows_changed) == (None, None, {})
            gone = 0 if unlearner.name in KEEPS_THE_DATA else case.problem.records(case.requests[0]).numel()
            assert result.problem.n_records == case.problem.n_records - gone
            return
        remaining = case.problem.without(case.requests[0]).with_params(result.problem.params)
        expected = None if remaining.stochastic else pytest.approx(remaining.residual())
        assert result.residual_after == expected
        ours, theirs = (one.record_losses(one.params) for one in (remaining, result.problem))
        if remaining.stochastic:  # another seed means other negatives
            ours, theirs = torch.tensor(ours.shape), torch.tensor(theirs.shape)
        assert torch.equal(ours, theirs) is (unlearner.name not in KEEPS_THE_DATA)

    def test_rows_that_the_forgotten_alone_determined_are_cleared(self, unlearner: Unlearner, case: Case) -> None:
        second = served(unlearner, case).second.problem
        if not isinstance(second, Problem) or unlearner.name in KEEPS_THE_ROWS or unlearner.exact:
            return  # what is trained anew has its rows from the seed
        assert_same(second.settled(case.requests[0] | case.requests[1]), second.params)
        for user in (user for request in case.requests for user in request.users):
            for name in getattr(case.problem, "row_parameters", ()):
                (row,) = case.problem.data.users.rows([user])
                assert not second.params[name][row].any()

    def test_the_same_call_gives_the_same_bits(self, unlearner: Unlearner, case: Case) -> None:
        run = served(unlearner, case)
        first = unlearner.forget(case.problem, case.requests[0], unlearner.prepare(case.problem))
        second = unlearner.forget(first.problem, case.requests[1], first.state)
        for one, other in ((run.first.problem, first.problem), (run.second.problem, second.problem)):
            assert torch.equal(one.outputs(case.queries), other.outputs(case.queries))
            if isinstance(one, Problem) and isinstance(other, Problem):
                assert_same(one.params, other.params)

    def test_what_was_prepared_is_not_prepared_again(
        self, unlearner: Unlearner, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = served(unlearner, case)
        if run.state is None:
            return

        def prepare(*_: object) -> State:
            raise AssertionError("it was prepared again")

        monkeypatch.setattr(type(unlearner), "prepare", prepare)
        result = unlearner.forget(case.problem, case.requests[0], run.state)
        assert torch.equal(result.problem.outputs(case.queries), run.first.problem.outputs(case.queries))

    def test_the_result_tells_what_was_done(self, unlearner: Unlearner, case: Case) -> None:
        run = served(unlearner, case)
        state, result = run.state, run.first
        assert (result.method, result.arguments) == (unlearner.name, unlearner.arguments())
        assert method(result.method, **result.arguments) == unlearner
        assert result.forget == case.requests[0]
        assert result.records_removed == case.problem.records(case.requests[0]).numel()
        assert result.records_removed > 0 or case.requests[0].ties  # a tie is no record
        assert result.seconds > 0
        assert not result.fallback
        if not isinstance(result.problem, Problem):
            return
        if not case.problem.stochastic:
            subject = unlearner.subject(case.problem, state)
            assert isinstance(subject, Problem)
            assert result.residual_before == pytest.approx(subject.without(case.requests[0]).residual())
            assert result.residual_after is not None
            assert 0 <= result.residual_after < float("inf")
        assert list(result.rows_changed) == list(case.problem.params)
        for name, before in case.problem.params.items():
            after = result.problem.params[name]
            assert (after.dtype, after.shape) == (before.dtype, before.shape)
            assert not after.requires_grad
            assert torch.equal(result.rows_changed[name], (before != after).reshape(len(before), -1).any(1))

    def test_failure_is_kept_raised_or_retrained(self, unlearner: Unlearner, case: Case) -> None:
        before, run = snapshot(case.problem, case), served(unlearner, case)
        state, ended = run.state, run.first.problem
        if not isinstance(ended, Problem):
            return  # without an objective there is nothing to fail by
        unlearner = broken(unlearner, ended)
        kept = unlearner.forget(case.problem, case.requests[0], state, on_failure="keep")
        assert not kept.fallback
        assert isinstance(kept.problem, Problem)
        assert all(value.isnan().all() for value in kept.problem.params.values())
        with pytest.raises(VerificationFailed, match="nothing was changed"):
            unlearner.forget(case.problem, case.requests[0], state, on_failure="raise")
        with pytest.raises(ValueError, match="keep, raise, retrain .got 'Retrain'"):
            unlearner.forget(case.problem, case.requests[0], state, on_failure="Retrain")  # pyright: ignore[reportArgumentType]
        retrained = unlearner.forget(case.problem, case.requests[0], state, on_failure="retrain")
        assert retrained.fallback
        assert isinstance(retrained.problem, Problem)
        assert_same(case.problem.without(case.requests[0]).fit().params, retrained.problem.params)
        assert retrained.problem.history.removed == 0
        assert retrained.state is None  # of the model that failed
        assert_same(before, snapshot(case.problem, case))

    def test_a_model_that_is_no_numbers_is_answered(self, unlearner: Unlearner, case: Case) -> None:
        """By what a failure is, or from further back where the method goes there; not out of some decomposition."""
        if not isinstance(case.problem, Problem):
            return
        state = served(unlearner, case).state
        ruined = {name: torch.full_like(value, torch.nan) for name, value in case.problem.params.items()}
        result = unlearner.forget(case.problem.with_params(ruined), case.requests[0], state, on_failure="keep")
        if isinstance(result.problem, Problem):  # `sharding` serves with models of its own
            assert finite(result.problem) is (unlearner.exact or unlearner.name in STARTS_FURTHER_BACK)


class RefusalContract(ABC):
    """The same for a case that the method cannot be applied to: it says why, before any work."""

    @pytest.fixture
    @abstractmethod
    def unlearner(self) -> Unlearner:
        """The method under test."""

    @pytest.fixture
    @abstractmethod
    def case(self) -> Case:
        """One that the method cannot be applied to."""

    def test_it_says_why(self, unlearner: Unlearner, case: Case) -> None:
        reason = unlearner.obstacle(case.problem)
        assert reason is not None
        assert f"`{unlearner.name}`" in reason
        for refused in (
            lambda: unlearner.prepare(case.problem),
            lambda: unlearner.forget(case.problem, case.unknown),
        ):
            with pytest.raises(MissingRequirement, match=re.escape(reason)):
                refused()
