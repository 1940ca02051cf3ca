"""Requests change their state here and nowhere else: with the audit row and the callbacks, in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from unlearn.requests import audit
from unlearn.requests.ledger import Ledger
from unlearn.requests.states import REPORTED, RequestEvent, RequestState, after_event
from unlearn.requests.tables import Callback, Request


def move(session: Session, ledger: Ledger, requests: Iterable[Request], event: RequestEvent, actor: str) -> None:
    """Let the event happen to every one of them.

    Raises:
        ImpossibleTransition: it cannot happen to one of them; the transaction must not be committed.
    """
    now, entries = ledger.now(), list[audit.Entry]()
    for request in requests:
        before = request.state
        request.state = after_event(before, event)
        if REPORTED[before] != REPORTED[request.state]:
            announce(session, request.id, request.callbacks, request.state, now)
        if request.state in (RequestState.COMPLETED, RequestState.CANCELLED):
            request.closed_at, request.callbacks = now, []  # a URL of theirs may name the person
        detail = {"from": before, "to": request.state, "batch": request.batch_id}
        entries.append(audit.Entry(actor, f"request.{event}", about(request.id), detail))
    audit.append(session, ledger, entries)


def announce(session: Session, request_id: int, urls: Iterable[str], state: RequestState, now: datetime) -> None:
    """Owe the controller a callback about the request's state, to URLs that are encrypted."""
    session.add_all(
        Callback(
            id=secrets.token_hex(16),
            request_id=request_id,
            url=url,
            status=REPORTED[state],
            created_at=now,
            not_before=now,
        )
        for url in urls
    )


def about(request_id: int) -> str:
    """How the audit trail names a request."""
    return f"request:{request_id}"
