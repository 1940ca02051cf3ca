"""How the service is doing, in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from unlearn.requests.ledger import Ledger
from unlearn.requests.states import OPEN, RequestState, Step
from unlearn.requests.status import counts
from unlearn.requests.tables import BatchRow, Callback, Request, Task


@dataclass(frozen=True, slots=True)
class Health:
    """What wakes an operator; `first_due` and `first_received` leave out what is on hold, for that must wait."""

    requests: Mapping[RequestState, int]
    overdue: int
    first_due: datetime | None
    first_received: datetime | None
    batches_open: int
    batches_failing: int  # a step raised, and is to be tried again
    tasks_attention: int  # targets of batches that wait for a person's decision
    callbacks_owed: int
    callbacks_abandoned: int


def health(ledger: Ledger) -> Health:
    """Read from the ledger, now."""
    moving = Request.state.in_((RequestState.PENDING, RequestState.IN_PROGRESS))
    batches = select(func.count()).select_from(BatchRow).where(BatchRow.closed_at.is_(None))
    callbacks = select(func.count()).select_from(Callback)
    late = select(func.count()).select_from(Request).where(Request.state.in_(OPEN), Request.due_at < ledger.now())
    with ledger.database.read() as session:

        def number(query: Select[Any]) -> int:
            return session.scalar(query) or 0

        return Health(
            requests=counts(ledger),
            overdue=number(late),
            first_due=session.scalar(select(func.min(Request.due_at)).where(moving)),
            first_received=session.scalar(select(func.min(Request.received_at)).where(moving)),
            batches_open=number(batches),
            batches_failing=number(batches.where(BatchRow.attempts > 0)),
            tasks_attention=number(select(func.count()).select_from(Task).where(Task.step == Step.ATTENTION)),
            callbacks_owed=number(callbacks.where(Callback.ended_at.is_(None))),
            callbacks_abandoned=number(callbacks.where(Callback.ended_at.is_not(None), ~Callback.delivered)),
        )
