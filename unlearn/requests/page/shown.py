"""How moments, clocks and steps are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from unlearn.requests.states import OPEN, RequestState, Step
from unlearn.requests.status import Status

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
# How many of the seven stages are behind: resolve, suppress, remove, unlearn, verify, publish and purge.
_STAGE: Mapping[Step, int] = {
    Step.RESOLVE: 0, Step.SUPPRESS: 1, Step.REMOVE: 2, Step.UNLEARN: 3, Step.RETRAIN: 3, Step.VERIFY: 4,
    Step.VERIFY_RETRAIN: 4, Step.ROLLBACK: 4, Step.ROLLBACK_RETRAIN: 4, Step.ATTENTION: 4, Step.PUBLISH: 5,
    Step.PURGE: 6, Step.DONE: 7,
}  # fmt: skip


def span(length: timedelta) -> str:
    """A length of time in its largest unit that fits twice, as in `47 hours`; in seconds at least."""
    seconds = abs(length.total_seconds())
    size, name = next(((size, name) for size, name in _UNITS if seconds >= 2 * size), _UNITS[-1])
    number = int(seconds // size)
    return f"{number} {name}{'' if number == 1 else 's'}"


def moment(when: datetime | None) -> Markup:
    """A moment in UTC, to the minute; machines read it to the microsecond."""
    if when is None:
        return Markup('<span class="none">–</span>')
    when = when.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        when.isoformat(), f"{when:%Y-%m-%d %H:%M:%S}", f"{when.day} {when:%b %Y, %H:%M}"
    )


@dataclass(frozen=True, slots=True)
class Clock:
    """How much of a request's time is gone: `share` from 0 to 1, and in words."""

    words: str
    share: float
    tone: str  # calm, near, late; done where it no longer runs


def clock(found: Status, now: datetime, margin: timedelta) -> Clock:
    """The clock of a request; near its end it is `near` for so long."""
    given = (found.due_at - found.received_at).total_seconds()
    until = found.closed_at or now
    share = min(max((until - found.received_at).total_seconds() / max(given, 1.0), 0.0), 1.0)
    left = found.due_at - until
    if found.state not in OPEN:
        return Clock(f"after {span(until - found.received_at)}", share, "late" if left < timedelta(0) else "done")
    if left < timedelta(0):
        return Clock(f"overdue by {span(left)}", 1.0, "late")
    return Clock(f"in {span(left)}", share, "near" if left <= margin else "calm")


@dataclass(frozen=True, slots=True)
class Track:
    """How far a target is: so many of the seven stages are behind it."""

    target: str
    step: str
    stage: int
    tone: str  # going, failed, done, stopped


def track(target: str, step: Step, *, failing: bool = False) -> Track:
    """The step that is next in a target, among the stages that every batch passes."""
    if step == Step.DONE:
        tone = "done"
    elif step == Step.ATTENTION:
        tone = "stopped"
    else:
        tone = "failed" if failing else "going"
    return Track(target, step.replace("_", " "), _STAGE[step], tone)


def sign(found: Status) -> tuple[str, str]:
    """A request's state as a class and in words."""
    if found.needs_attention:
        return "attention", "needs attention"
    if found.failing and found.state == RequestState.IN_PROGRESS:
        return "failing", "being tried again"
    return found.state, found.state.replace("_", " ")
