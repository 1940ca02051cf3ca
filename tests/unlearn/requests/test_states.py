"""The table of states: complete, without dead ends, and with no way to publish what was not verified."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearn.requests.states import (
    REPORTED,
    REQUESTS,
    RESTING,
    STEPS,
    ImpossibleTransition,
    Outcome,
    RequestEvent,
    RequestState,
    Step,
    after_event,
    after_step,
)


@given(st.sampled_from(RequestState), st.sampled_from(RequestEvent))
def test_an_event_moves_a_request_as_the_table_says_or_not_at_all(state: RequestState, event: RequestEvent) -> None:
    if (state, event) in REQUESTS:
        assert after_event(state, event) is REQUESTS[state, event]
    else:
        with pytest.raises(ImpossibleTransition, match=f"{state} cannot {event}"):
            after_event(state, event)


def test_what_is_closed_stays_closed_and_everything_else_can_be_completed() -> None:
    final = {RequestState.COMPLETED, RequestState.CANCELLED}
    assert {state for state, _ in REQUESTS} == set(RequestState) - final
    for state in set(RequestState) - final:
        assert RequestState.COMPLETED in _reachable(state, [(a, b) for (a, _), b in REQUESTS.items()])
    assert REPORTED.keys() == set(RequestState)


def test_only_what_has_not_begun_can_be_cancelled() -> None:
    cancellable = {state for state, event in REQUESTS if event is RequestEvent.CANCEL}
    assert cancellable == {RequestState.PENDING, RequestState.ON_HOLD}
    assert {REPORTED[state] for state in cancellable} == {"pending"}  # as OpenDSR says


def test_every_step_but_the_last_leads_on_and_to_the_end() -> None:
    moves = [(step, following) for (step, _), following in STEPS.items()]
    assert {step for step, _ in moves} == set(Step) - {Step.DONE}
    for step in set(Step) - {Step.DONE}:
        assert Step.DONE in _reachable(step, moves)


paths = st.lists(st.sampled_from(Outcome), max_size=40)


@given(paths)
def test_nothing_is_published_without_passing_and_nobody_is_asked_before_a_retrain_failed(path: list[Outcome]) -> None:
    step, history = Step.RESOLVE, list[tuple[Step, Outcome]]()
    for outcome in path:
        if (step, outcome) not in STEPS:
            continue
        history.append((step, outcome))
        step = after_step(step, outcome)
        if step is Step.PUBLISH:
            assert history[-1][0] in (Step.VERIFY, Step.VERIFY_RETRAIN) and history[-1][1] is Outcome.PASSED
        if step is Step.ATTENTION:
            assert (Step.VERIFY_RETRAIN, Outcome.FAILED) in history
        if step is Step.DONE:
            done = [one for one, _ in history]
            assert done[:3] == [Step.RESOLVE, Step.SUPPRESS, Step.REMOVE] and done[-2:] == [Step.PUBLISH, Step.PURGE]
            assert history[-2][1] is Outcome.DONE
    if step in RESTING:
        assert step is Step.ATTENTION or not any(before is step for before, _ in STEPS)


@given(paths)
def test_a_failed_or_stale_version_is_destroyed_before_the_next_is_made(path: list[Outcome]) -> None:
    step, staged = Step.RESOLVE, False
    for outcome in path:
        if (step, outcome) not in STEPS:
            continue
        if step in (Step.UNLEARN, Step.RETRAIN):
            assert not staged
            staged = True
        elif step in (Step.ROLLBACK, Step.ROLLBACK_RETRAIN) or (step is Step.PUBLISH and outcome is Outcome.DONE):
            assert staged
            staged = False
        step = after_step(step, outcome)
    if step is Step.ATTENTION:
        assert not staged


def test_no_other_pair_is_accepted() -> None:
    for step, outcome in itertools.product(Step, Outcome):
        if (step, outcome) not in STEPS:
            with pytest.raises(ImpossibleTransition):
                after_step(step, outcome)


def _reachable(start: object, moves: Iterable[tuple[object, object]]) -> set[object]:
    moves, found = list(moves), {start}
    while new := {b for a, b in moves if a in found} - found:
        found |= new
    return found
