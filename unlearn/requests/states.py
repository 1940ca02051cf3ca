"""Every state of a request and of its erasure in a target, and every transition between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class RequestState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"  # accepted, its people suppressed; in no batch yet
    ON_HOLD = "on_hold"  # a legal hold forbids deletion; suppression stays
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class RequestEvent(StrEnum):
    """What happens to a request."""

    CLAIM = "claim"  # a batch takes it in
    HOLD = "hold"  # one of its people is found on hold, before anything was removed
    LIFT = "lift"  # the last hold on its people is lifted
    CANCEL = "cancel"
    CLOSE = "close"  # every target has purged


class Step(StrEnum):
    """The next thing to be done for a batch in one target."""

    RESOLVE = "resolve"
    SUPPRESS = "suppress"
    REMOVE = "remove"
    UNLEARN = "unlearn"
    VERIFY = "verify"
    ROLLBACK = "rollback"
    RETRAIN = "retrain"
    VERIFY_RETRAIN = "verify_retrain"
    ROLLBACK_RETRAIN = "rollback_retrain"
    PUBLISH = "publish"
    PURGE = "purge"
    DONE = "done"
    ATTENTION = "attention"  # a retrain failed its verification, too: a person must decide


class Outcome(StrEnum):
    """How a step ended. An exception is no outcome: the step is tried again, later and later."""

    DONE = "done"
    ESCALATE = "escalate"  # a rule asks for a retrain before unlearning is tried
    PASSED = "passed"
    FAILED = "failed"
    STALE = "stale"  # more was removed or published since the version was made
    RETRY = "retry"  # a person says so


REQUESTS: Mapping[tuple[RequestState, RequestEvent], RequestState] = MappingProxyType({
    (RequestState.PENDING, RequestEvent.CLAIM): RequestState.IN_PROGRESS,
    (RequestState.PENDING, RequestEvent.HOLD): RequestState.ON_HOLD,
    (RequestState.PENDING, RequestEvent.CANCEL): RequestState.CANCELLED,
    (RequestState.ON_HOLD, RequestEvent.LIFT): RequestState.PENDING,
    (RequestState.ON_HOLD, RequestEvent.CANCEL): RequestState.CANCELLED,
    (RequestState.IN_PROGRESS, RequestEvent.HOLD): RequestState.ON_HOLD,
    (RequestState.IN_PROGRESS, RequestEvent.CLOSE): RequestState.COMPLETED,
})  # fmt: skip

STEPS: Mapping[tuple[Step, Outcome], Step] = MappingProxyType({
    (Step.RESOLVE, Outcome.DONE): Step.SUPPRESS,
    (Step.SUPPRESS, Outcome.DONE): Step.REMOVE,
    (Step.REMOVE, Outcome.DONE): Step.UNLEARN,
    (Step.REMOVE, Outcome.ESCALATE): Step.RETRAIN,
    (Step.UNLEARN, Outcome.DONE): Step.VERIFY,
    (Step.VERIFY, Outcome.PASSED): Step.PUBLISH,
    (Step.VERIFY, Outcome.FAILED): Step.ROLLBACK,
    (Step.VERIFY, Outcome.STALE): Step.ROLLBACK,
    (Step.ROLLBACK, Outcome.DONE): Step.RETRAIN,
    (Step.RETRAIN, Outcome.DONE): Step.VERIFY_RETRAIN,
    (Step.VERIFY_RETRAIN, Outcome.PASSED): Step.PUBLISH,
    (Step.VERIFY_RETRAIN, Outcome.FAILED): Step.ROLLBACK_RETRAIN,
    (Step.VERIFY_RETRAIN, Outcome.STALE): Step.ROLLBACK,
    (Step.ROLLBACK_RETRAIN, Outcome.DONE): Step.ATTENTION,
    (Step.ATTENTION, Outcome.RETRY): Step.RETRAIN,
    (Step.PUBLISH, Outcome.DONE): Step.PURGE,
    (Step.PUBLISH, Outcome.STALE): Step.ROLLBACK,
    (Step.PURGE, Outcome.DONE): Step.DONE,
})  # fmt: skip

OPEN = (RequestState.PENDING, RequestState.ON_HOLD, RequestState.IN_PROGRESS)
"""In these a request's clock runs."""

REPORTED: Mapping[RequestState, str] = MappingProxyType({
    RequestState.PENDING: "pending",
    RequestState.ON_HOLD: "pending",
    RequestState.IN_PROGRESS: "in_progress",
    RequestState.COMPLETED: "completed",
    RequestState.CANCELLED: "cancelled",
})  # fmt: skip
"""What OpenDSR calls the state; it knows no hold."""

RESTING = frozenset({Step.DONE, Step.ATTENTION})
"""Where a target's part of a batch stays until a person moves it, or for good."""


class ImpossibleTransition(RuntimeError):
    """The table has no such transition."""


def after_event(state: RequestState, event: RequestEvent) -> RequestState:
    """The request's next state.

    Raises:
        ImpossibleTransition: nothing of the kind can happen in that state.
    """
    if (following := REQUESTS.get((state, event))) is None:
        possible = sorted(one for before, one in REQUESTS if before == state)
        raise ImpossibleTransition(
            f"a request that is {state} cannot {event} (it can: {', '.join(possible) or 'nothing'})"
        )
    return following


def after_step(step: Step, outcome: Outcome) -> Step:
    """The step that follows.

    Raises:
        ImpossibleTransition: the step cannot end that way.
    """
    if (following := STEPS.get((step, outcome))) is None:
        possible = sorted(one for before, one in STEPS if before == step)
        raise ImpossibleTransition(f"{step} cannot end as {outcome} (it can as: {', '.join(possible) or 'nothing'})")
    return following
