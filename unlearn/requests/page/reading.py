"""What the ledger has on one request, one batch, the queue, versions of models and holds, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select

from unlearn.requests.certificate import evidence
from unlearn.requests.holds import OWNERS, requests_by_hold
from unlearn.requests.ledger import Ledger
from unlearn.requests.moves import about
from unlearn.requests.states import OPEN, Outcome, Step
from unlearn.requests.status import Status, find, statuses
from unlearn.requests.tables import (
    AuditRow,
    BatchRow,
    Callback,
    CertificateRow,
    Hold,
    Person,
    Request,
    StepRecord,
    Task,
)

_SHOWN = 100  # rows of a table, at most
_MADE = {Step.UNLEARN, Step.RETRAIN}
_VERIFIED = {Step.VERIFY, Step.VERIFY_RETRAIN}
_ROLLED_BACK = {Step.ROLLBACK, Step.ROLLBACK_RETRAIN}


@dataclass(frozen=True, slots=True)
class OneRequest:
    """A request, by what names it: its people are pseudonyms."""

    status: Status
    people: list[str]
    history: list[AuditRow]
    callbacks: list[Callback]
    certified: bool


def one_request(ledger: Ledger, caller: str | None, id: str, *, whole: bool) -> OneRequest:
    """The request of that id; of any caller where `caller` is None. `whole` adds what happened to its batch.

    Raises:
        NoSuchRequest: that caller made none.
    """
    with ledger.database.read() as session:
        row = find(session, caller, id)
        names = [about(row.id), *([f"batch:{row.batch_id}"] if whole and row.batch_id else [])]
        trail = select(AuditRow).where(or_(*(AuditRow.about == name for name in names))).order_by(AuditRow.sequence)
        people = select(Person.pseudonym).where(Person.request_id == row.id, ~OWNERS).order_by(Person.pseudonym)
        callbacks = select(Callback).where(Callback.request_id == row.id).order_by(Callback.created_at, Callback.id)
        return OneRequest(
            status=statuses(session, [row])[0],
            people=list(session.scalars(people)),
            history=list(session.scalars(trail)),
            callbacks=list(session.scalars(callbacks)),
            certified=row.batch_id is not None and session.get(CertificateRow, row.batch_id) is not None,
        )


@dataclass(frozen=True, slots=True)
class OneBatch:
    """A batch: its requests, where it is in every target, and the evidence so far, as its certificate has it."""

    row: BatchRow
    requests: list[Status]
    targets: Mapping[str, Step]
    evidence: Mapping[str, Any]
    certificate: CertificateRow | None


def one_batch(ledger: Ledger, id: str) -> OneBatch | None:
    """The batch of that id; None where there is none."""
    with ledger.database.read() as session:
        if (row := session.get(BatchRow, id)) is None:
            return None
        requests = session.scalars(select(Request).where(Request.batch_id == id).order_by(Request.id)).all()
        tasks = session.scalars(select(Task).where(Task.batch_id == id).order_by(Task.target)).all()
        return OneBatch(
            row=row,
            requests=statuses(session, requests),
            targets={task.target: task.step for task in tasks},
            evidence=evidence(session, id),
            certificate=session.get(CertificateRow, id),
        )


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that is not closed, for the queue."""

    row: BatchRow
    requests: int
    targets: Mapping[str, Step]


def open_batches(ledger: Ledger) -> list[OpenBatch]:
    """The batches that are not closed, first due first."""
    with ledger.database.read() as session:
        unclosed = select(BatchRow).where(BatchRow.closed_at.is_(None)).order_by(BatchRow.due_at).limit(_SHOWN)
        rows = session.scalars(unclosed).all()
        ids = [row.id for row in rows]
        numbers = select(Request.batch_id, func.count()).where(Request.batch_id.in_(ids)).group_by(Request.batch_id)
        by_batch = {id: number for id, number in session.execute(numbers)}  # noqa: C416  (rows are no tuples)
        targets: dict[str, dict[str, Step]] = {}
        for task in session.scalars(select(Task).where(Task.batch_id.in_(ids)).order_by(Task.target)):
            targets.setdefault(task.batch_id, {})[task.target] = task.step
        return [OpenBatch(row, by_batch.get(row.id, 0), targets.get(row.id, {})) for row in rows]


def due_by_day(ledger: Ledger) -> dict[str, int]:
    """How many open requests are due on each day (UTC, as 2026-01-31)."""
    # PostgreSQL would take the day from the zone of its server.
    day = func.date(Request.due_at if ledger.database.sqlite else func.timezone("UTC", Request.due_at))
    asked = select(day, func.count()).where(Request.state.in_(OPEN)).group_by(day).order_by(day)
    with ledger.database.read() as session:
        return {str(when): number for when, number in session.execute(asked)}


@dataclass(slots=True)
class MadeVersion:
    """A version of a target's model: how it was made, what its verification said and what became of it."""

    target: str
    batch: str
    version: Mapping[str, Any]
    made_at: datetime
    passed: bool | None = None
    published_at: datetime | None = None
    destroyed_at: datetime | None = None
    current: bool = False


def versions(ledger: Ledger) -> list[MadeVersion]:
    """The last versions, newest first; the one published last is the current one of its target."""
    told = (*_MADE, *_VERIFIED, *_ROLLED_BACK, Step.PUBLISH)
    with ledger.database.read() as session:
        newest = select(StepRecord).where(StepRecord.step.in_(told)).order_by(StepRecord.id.desc()).limit(6 * _SHOWN)
        records = list(session.scalars(newest))[::-1]
    found: list[MadeVersion] = []
    latest: dict[tuple[str, str], MadeVersion] = {}
    current: dict[str, MadeVersion] = {}
    for record in records:
        key = record.target, record.batch_id
        if record.step in _MADE:
            latest[key] = MadeVersion(record.target, record.batch_id, record.result["version"], record.ended_at)
            found.append(latest[key])
        elif (one := latest.get(key)) is None:
            continue  # made before what is read here
        elif record.step in _VERIFIED:
            one.passed = record.outcome == Outcome.PASSED
        elif record.step in _ROLLED_BACK:
            one.destroyed_at = record.ended_at
        elif record.outcome == Outcome.DONE:
            if record.target in current:
                current[record.target].current, current[record.target].destroyed_at = False, record.ended_at
            one.published_at, one.current = record.ended_at, True
            current[record.target] = one
    return found[::-1][:_SHOWN]


@dataclass(frozen=True, slots=True)
class StandingHold:
    """A legal hold, and how many open requests wait for it."""

    pseudonym: str
    reference: str
    placed_at: datetime
    waiting: int


def standing_holds(ledger: Ledger) -> list[StandingHold]:
    """Every hold, oldest first."""
    found = requests_by_hold().subquery()
    number = select(found.c.hold, func.count(Request.id.distinct())).join(Request, Request.id == found.c.request_id)
    with ledger.database.read() as session:
        counted = session.execute(number.where(Request.state.in_(OPEN)).group_by(found.c.hold))
        waiting = {name: requests for name, requests in counted}  # noqa: C416  (rows are no tuples)
        return [
            StandingHold(hold.pseudonym, hold.reference, hold.placed_at, waiting.get(hold.pseudonym, 0))
            for hold in session.scalars(select(Hold).order_by(Hold.placed_at, Hold.pseudonym))
        ]
