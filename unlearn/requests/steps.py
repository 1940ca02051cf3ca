"""What each step asks of a target, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite, isnan
from typing import Any

from unlearn.requests.states import Outcome, Step
from unlearn.requests.tasks import Due, Ended
from unlearn.target import Batch, Counts, Removal, StaleVersion, Target, Verdict, Version


class LeftBehind(RuntimeError):
    """Purging left something of the people behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Above which shares a batch is not unlearned but retrained for: see `unlearn.target.Removal`."""

    share: float = 0.02
    drift: float = 0.05


def perform(due: Due, target: Target, batch: Batch, escalation: Escalation) -> Ended:
    """Take the step that is next; a figure that is no finite number is handed back in words.

    Raises:
        LeftBehind: a purge was not complete.
        Exception: whatever the target raises; the step has then not ended.
    """
    ended = _taken(due, target, batch, escalation)
    made = ended.version
    version = None if made is None else replace(made, facts=_in_words(made.facts))
    return replace(ended, result=_in_words(ended.result), version=version)


def _taken(due: Due, target: Target, batch: Batch, escalation: Escalation) -> Ended:
    match due.step:
        case Step.RESOLVE:
            unknown = sum(not subject.known_by(target.identity_types) for subject in batch.subjects)
            return Ended(Outcome.DONE, {"counts": dict(target.resolve(batch)), "unknown_types": unknown})
        case Step.SUPPRESS:
            return _counted(target.suppress(batch.subjects))
        case Step.REMOVE:
            return _removed(target.remove(batch), escalation)
        case Step.UNLEARN | Step.RETRAIN:
            version = target.unlearn(batch, retrain=due.step == Step.RETRAIN)
            return Ended(Outcome.DONE, {"version": asdict(version)}, version)
        case Step.VERIFY | Step.VERIFY_RETRAIN:
            return _unless_stale(lambda: _verified(target.verify(batch, _made(due))))
        case Step.ROLLBACK | Step.ROLLBACK_RETRAIN:
            return _counted(target.rollback(batch, _made(due)))
        case Step.PUBLISH:
            return _unless_stale(lambda: _counted(target.publish(batch, _made(due))))
        case Step.PURGE:
            return _purged(target.purge(batch))
        case Step.DONE | Step.ATTENTION:
            raise AssertionError(f"there is nothing to do at {due.step}")


def _counted(counts: Counts) -> Ended:
    return Ended(Outcome.DONE, {"counts": dict(counts)})


def _removed(removal: Removal, escalation: Escalation) -> Ended:
    above = removal.share > escalation.share or removal.drift > escalation.drift
    figures = {"counts": dict(removal.counts), "share": removal.share, "drift": removal.drift}
    return Ended(Outcome.ESCALATE if above else Outcome.DONE, figures)


def _verified(verdict: Verdict) -> Ended:
    checks = [asdict(check) | {"passed": check.passed} for check in verdict.checks]
    outcome = Outcome.PASSED if verdict.passed else Outcome.FAILED
    return Ended(outcome, {"checks": checks, "not_covered": list(verdict.not_covered)})


def _unless_stale(step: Callable[[], Ended]) -> Ended:
    """A version that another batch has overtaken did not fail: it is made again."""
    try:
        return step()
    except StaleVersion:
        return Ended(Outcome.STALE, {})


def _purged(left: Counts) -> Ended:
    if any(left.values()):
        raise LeftBehind(f"purging left {sum(left.values())} things behind")
    return Ended(Outcome.DONE, {"left": dict(left)})


def _in_words(value: Any) -> Any:
    """The same, but `NaN`, `Infinity` or `-Infinity` as text, for JSON has no such numbers, nor PostgreSQL."""
    if isinstance(value, Mapping):
        return {name: _in_words(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_in_words(part) for part in value]
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _made(due: Due) -> Version:
    assert due.version is not None, f"the table of steps puts {due.step} after a version was made"
    return due.version
