"""Reading requests: where they stand, for a caller or for an operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from unlearn.requests.ledger import Ledger, NoSuchRequest
from unlearn.requests.states import RequestState, Step
from unlearn.requests.tables import BatchRow, Request, Task

PATIENCE = 8
"""Attempts in a row that raise, over some ten minutes; after them a person is asked for, and the attempts go on."""


@dataclass(frozen=True, slots=True)
class Status:
    """A request as those who may ask see it; nobody is named in it."""

    caller: str
    subject_request_id: str
    regulation: str
    state: RequestState
    submitted_at: datetime
    received_at: datetime
    due_at: datetime
    closed_at: datetime | None
    batch: str | None
    targets: Mapping[str, Step]
    attempts: int  # of its batch, which raised one after another; 0 once a step ended

    @property
    def failing(self) -> bool:
        """Whether a step of its batch raised, and is to be tried again."""
        return self.attempts > 0

    @property
    def needs_attention(self) -> bool:
        """Whether a target has come to where a person must decide, or its batch raises again and again."""
        return Step.ATTENTION in self.targets.values() or self.attempts >= PATIENCE


def find(session: Session, caller: str | None, subject_request_id: str, *, lock: bool = False) -> Request:
    """The request of that id; of any caller where `caller` is None.

    Raises:
        NoSuchRequest: that caller made none.
    """
    asked = select(Request).where(Request.subject_request_id == subject_request_id)
    if caller is not None:
        asked = asked.where(Request.caller == caller)
    if lock:
        asked = asked.with_for_update()
    # Ids are the callers' own: two of them may have chosen the same one, and an operator gets the older.
    found = session.scalars(asked.order_by(Request.id).limit(1)).first()
    if found is None:
        raise NoSuchRequest("There is no such request.")
    return found


def status(ledger: Ledger, caller: str | None, subject_request_id: str) -> Status:
    """Where that request stands.

    Raises:
        NoSuchRequest: that caller made none.
    """
    with ledger.database.read() as session:
        return statuses(session, [find(session, caller, subject_request_id)])[0]


def listed(
    ledger: Ledger, *, state: RequestState | None = None, limit: int = 100, after: int = 0
) -> list[tuple[int, Status]]:
    """Requests in the order of their arrival, each with the number that `after` goes on from."""
    with ledger.database.read() as session:
        asked = select(Request).where(Request.id > after).order_by(Request.id).limit(limit)
        if state is not None:
            asked = asked.where(Request.state == state)
        rows = list(session.scalars(asked))
        return list(zip((row.id for row in rows), statuses(session, rows), strict=True))


def counts(ledger: Ledger) -> dict[RequestState, int]:
    """How many requests are in each state."""
    with ledger.database.read() as session:
        found = session.execute(select(Request.state, func.count()).group_by(Request.state)).all()
    by_state = {state: number for state, number in found}  # noqa: C416  (a row is no tuple to the type checker)
    return {state: by_state.get(state, 0) for state in RequestState}


def statuses(session: Session, rows: Sequence[Request]) -> list[Status]:
    """Where each of these requests stands."""
    batches = {row.batch_id for row in rows if row.batch_id is not None}
    open_ = select(BatchRow).where(BatchRow.id.in_(batches), BatchRow.closed_at.is_(None))
    attempts = {batch.id: batch.attempts for batch in session.scalars(open_)}
    steps: dict[str, dict[str, Step]] = {}
    for task in session.scalars(select(Task).where(Task.batch_id.in_(batches)).order_by(Task.target)):
        steps.setdefault(task.batch_id, {})[task.target] = task.step
    return [
        Status(
            caller=row.caller,
            subject_request_id=row.subject_request_id,
            regulation=row.regulation,
            state=row.state,
            submitted_at=row.submitted_at,
            received_at=row.received_at,
            due_at=row.due_at,
            closed_at=row.closed_at,
            batch=row.batch_id,
            targets=steps.get(row.batch_id or "", {}),
            attempts=attempts.get(row.batch_id or "", 0),
        )
        for row in rows
    ]
