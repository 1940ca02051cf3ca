"""Requests by filter, in an order, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute

from unlearn.requests.ledger import Ledger
from unlearn.requests.states import OPEN, RequestState, Step
from unlearn.requests.status import PATIENCE, Status, statuses
from unlearn.requests.tables import BatchRow, Request, Task

SIZE = 50
WITHOUT_NUL = r"^[^\x00]*$"  # which no text in PostgreSQL can have, or be compared with
WEEK = timedelta(days=7)
_COLUMNS: Mapping[str, InstrumentedAttribute[Any]] = {
    "due": Request.due_at,
    "received": Request.received_at,
    "controller": Request.caller,
    "state": Request.state,
}


class Listing(BaseModel):
    """What the list is asked for, in its address."""

    model_config = ConfigDict(frozen=True)

    state: Literal["open", "attention", "pending", "on_hold", "in_progress", "completed", "cancelled", "all"] = "open"
    due: Literal["any", "overdue", "soon", "week"] = "any"
    controller: Annotated[str, Field(max_length=100, pattern=WITHOUT_NUL)] = ""
    q: Annotated[str, Field(max_length=36, pattern=WITHOUT_NUL)] = ""
    sort: Literal["due", "-due", "received", "-received", "controller", "-controller", "state", "-state"] = "due"
    page: Annotated[int, Field(ge=1, le=10**6)] = 1

    def link(self, **changes: Any) -> str:
        """The address of the list with something else asked for; a new order or filter begins at its first page."""
        chosen = self.model_copy(update={"page": 1} | changes)
        query = urlencode(chosen.model_dump(exclude_defaults=True))
        return f"/page/requests{'?' if query else ''}{query}"

    def turned(self, column: str) -> str:
        """The address of the list by a column, the other way round where it is by that column."""
        return self.link(sort=f"-{column}" if self.sort == column else column)

    def direction(self, column: str) -> str | None:
        """What `aria-sort` says of a column."""
        return {column: "ascending", f"-{column}": "descending"}.get(self.sort)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of the list, how many requests there are in all of it, and how many of each state to choose from."""

    rows: list[Status]
    total: int
    by_state: Mapping[str, int]
    controllers: list[str]

    @property
    def pages(self) -> int:
        """How many pages there are; at least one."""
        return max(1, -(-self.total // SIZE))


def find(ledger: Ledger, scope: str | None, asked: Listing, *, soon: timedelta) -> Found:
    """The requests of a controller, or of all where `scope` is None."""
    own = [] if scope is None else [Request.caller == scope]
    wanted = [*own, *_conditions(asked, ledger.now(), soon)]
    column = _COLUMNS[asked.sort.removeprefix("-")]
    order = (column.desc(), Request.id.desc()) if asked.sort.startswith("-") else (column, Request.id)
    stuck = select(func.count()).select_from(Request).where(*own, _attention())
    with ledger.database.read() as session:
        total = session.scalar(select(func.count()).select_from(Request).where(*wanted)) or 0
        some = select(Request).where(*wanted).order_by(*order).limit(SIZE).offset((asked.page - 1) * SIZE)
        rows = statuses(session, list(session.scalars(some)))
        grouped = select(Request.state, func.count()).where(*own).group_by(Request.state)
        by_state = {str(state): number for state, number in session.execute(grouped)}
        by_state |= {
            "all": sum(by_state.values()),
            "open": sum(by_state.get(one, 0) for one in OPEN),
            "attention": session.scalar(stuck) or 0,
        }
        names = session.scalars(select(Request.caller).distinct()) if scope is None else ()
        controllers = sorted({*names, *filter(None, [asked.controller if scope is None else ""])})
    return Found(rows, total, by_state, controllers)


def _conditions(asked: Listing, now: datetime, soon: timedelta) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if asked.state == "open":
        found.append(Request.state.in_(OPEN))
    elif asked.state == "attention":
        found.append(_attention())
    elif asked.state != "all":
        found.append(Request.state == RequestState(asked.state))
    if asked.due != "any":
        limit = {"overdue": now, "soon": now + soon, "week": now + WEEK}[asked.due]
        found += [Request.due_at <= limit, Request.state.in_(OPEN)]
    if asked.controller:
        found.append(Request.caller == asked.controller)
    if asked.q.strip():
        found.append(Request.subject_request_id.startswith(asked.q.strip().lower(), autoescape=True))
    return found


def _attention() -> ColumnElement[bool]:
    """As `Status.needs_attention` has it."""
    stuck = select(Task.batch_id).where(Task.step == Step.ATTENTION)
    raising = select(BatchRow.id).where(BatchRow.closed_at.is_(None), BatchRow.attempts >= PATIENCE)
    return Request.batch_id.in_(stuck.union(raising))
