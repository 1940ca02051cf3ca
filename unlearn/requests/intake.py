"""Taking requests in: all that have arrived share one transaction, and with it the price of making it durable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from unlearn.requests import audit
from unlearn.requests.holds import owner
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.moves import about, announce
from unlearn.requests.states import RequestState
from unlearn.requests.tables import Person, Request
from unlearn.target import Subject


class KeyReused(Refused):
    """The idempotency key belongs to another request of this caller."""


class InFlight(Refused):
    """The same request is being taken in at this moment."""


class AlreadyReceived(Refused):
    """This caller made a request of that id under another idempotency key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request as it came in, examined and found well-formed."""

    caller: str
    idempotency_key: str = field(repr=False)
    subject_request_id: str
    fingerprint: str  # keyed digest of the whole body
    regulation: str
    subjects: tuple[Subject, ...] = field(repr=False)
    submitted_at: datetime
    callbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a caller is told, however often they ask."""

    subject_request_id: str
    received_at: datetime
    due_at: datetime
    replayed: bool


class Intake:
    """Accepts requests: one thread commits whatever has arrived while it committed the group before.

    Args:
        suppress: returns when every target answers nothing more to or about these people.
        due_within: from receipt to the promised completion.
    """

    def __init__(
        self, ledger: Ledger, suppress: Callable[[Sequence[Subject]], object], *, due_within: timedelta
    ) -> None:
        self._ledger = ledger
        self._suppress = suppress
        self._due_within = due_within
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._in_flight: dict[tuple[str, str], str] = {}

    def submit(self, submission: Submission) -> Receipt:
        """Store the request and suppress its people; when this returns, both are done and durable.

        Raises:
            KeyReused: the key came with another body before.
            InFlight: the key is in use at this moment.
            AlreadyReceived: the request came under another key before.
        """
        return self.enqueue(submission).result()

    def enqueue(self, submission: Submission) -> Future[Receipt]:
        """What `submit` returns or raises, for those who must not wait for it; nobody can cancel it."""
        key, future = (submission.caller, submission.idempotency_key), Future[Receipt]()
        future.set_running_or_notify_cancel()
        with self._lock:
            if (fingerprint := self._in_flight.get(key)) is not None:
                raise _reused() if fingerprint != submission.fingerprint else _in_flight()
            self._in_flight[key] = submission.fingerprint
            self._waiting.append((submission, future))
        self._writer.submit(self._write)
        return future

    def close(self) -> None:
        """Let go of the thread, once all that wait are served."""
        self._writer.shutdown()

    def _write(self) -> None:
        with self._lock:
            group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
        if group:
            self._serve(group)

    def _serve(self, group: Sequence[_Waiting], *, again: bool = True) -> None:
        try:
            answers = self._store([submission for submission, _ in group])
        except Exception as error:
            if len(group) > 1:  # whatever it was, it is not for the others to suffer from
                for one in group:
                    self._serve([one])
            elif again and isinstance(error, IntegrityError):  # another process was faster: this time it is seen
                self._serve(group, again=False)
            else:
                self._answer(group[0], error)
            return
        for one, answer in zip(group, answers, strict=True):
            self._answer(one, answer)

    def _answer(self, waiting: _Waiting, answer: Receipt | Exception) -> None:
        submission, future = waiting
        with self._lock:  # before the answer is known, for with it the same key may come again
            del self._in_flight[submission.caller, submission.idempotency_key]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _store(self, group: Sequence[Submission]) -> list[Receipt | Refused]:
        with self._ledger.database.write() as session:
            keys = [(one.caller, self._digest(one)) for one in group]
            by_key, ids = _known(session, group, keys)
            answers: dict[int, Receipt | Refused] = {}
            new: dict[int, Submission] = {}
            for place, (one, key) in enumerate(zip(group, keys, strict=True)):
                known = by_key.get(key)
                if known is not None:
                    same = known.fingerprint == one.fingerprint
                    receipt = Receipt(known.subject_request_id, known.received_at, known.due_at, replayed=True)
                    answers[place] = receipt if same else _reused()
                elif (one.caller, one.subject_request_id) in ids:
                    answers[place] = _already()
                else:
                    ids.add((one.caller, one.subject_request_id))
                    new[place] = one
            if new:
                answers |= zip(new, self._insert(session, list(new.values())), strict=True)
        return [answers[place] for place in range(len(group))]

    def _insert(self, session: Session, new: Sequence[Submission]) -> list[Receipt]:
        # Before they have numbers: these become visible in their order, so that whoever reads on misses none. And until
        # the end, so that no cancellation releases somebody whom this group suppresses.
        audit.lock(session, self._ledger)
        ledger, now = self._ledger, self._ledger.now()
        due, name = now + self._due_within, ledger.keyring.pseudonyms.of
        rows: list[dict[str, Any]] = [self._row(one) | {"received_at": now, "due_at": due} for one in new]
        numbers = session.scalars(insert(Request).returning(Request.id, sort_by_parameter_order=True), rows).all()
        people = [(number, subject) for number, one in zip(numbers, new, strict=True) for subject in one.subjects]
        persons = dict.fromkeys((number, name(subject)) for number, subject in people)
        persons |= {(number, owner(name(part[0]))): None for number, one in people if (part := one.part) is not None}
        session.execute(
            insert(Person), [{"request_id": number, "pseudonym": pseudonym} for number, pseudonym in persons]
        )
        entries: list[audit.Entry] = []
        for number, one, row in zip(numbers, new, rows, strict=True):
            announce(session, number, row["callbacks"], RequestState.PENDING, now)
            entries.append(audit.Entry(one.caller, "request.received", about(number), {"due": due.isoformat()}))
        audit.append(session, ledger, entries)
        # Before the commit: a crash in between leaves somebody suppressed without a request, never the reverse.
        self._suppress([subject for _, subject in people])
        return [Receipt(one.subject_request_id, now, due, replayed=False) for one in new]

    def _row(self, submission: Submission) -> dict[str, Any]:
        keyring = self._ledger.keyring
        return {
            "caller": submission.caller,
            "subject_request_id": submission.subject_request_id,
            "idempotency_key": self._digest(submission),
            "fingerprint": submission.fingerprint,
            "regulation": submission.regulation,
            "callbacks": list(map(keyring.seal_url, submission.callbacks)),
            "state": RequestState.PENDING,
            "submitted_at": submission.submitted_at,
            "payload": keyring.seal(submission.subjects),
        }

    def _digest(self, submission: Submission) -> str:
        """By which the ledger recognises the idempotency key."""
        return self._ledger.keyring.idempotency(submission.caller, submission.idempotency_key)


_Waiting = tuple[Submission, Future[Receipt]]
_Pair = tuple[str, str]
_GROUP = 256  # requests in one transaction: its statements must stay below what databases take


def _known(
    session: Session, group: Sequence[Submission], keys: Sequence[_Pair]
) -> tuple[dict[_Pair, Request], set[_Pair]]:
    """Earlier requests by their callers and digests of keys, and the callers and ids of such."""
    ids = [(one.caller, one.subject_request_id) for one in group]
    of_callers = Request.caller.in_({caller for caller, _ in ids})
    # Not by pairs, for which SQLite reads the whole table; one that no caller of the group has is not asked for.
    either = (
        of_callers & column.in_({value for _, value in pairs})
        for column, pairs in ((Request.idempotency_key, keys), (Request.subject_request_id, ids))
    )
    rows = session.scalars(select(Request).where(or_(*either))).all()
    return (
        {(row.caller, row.idempotency_key): row for row in rows},
        {(row.caller, row.subject_request_id) for row in rows},
    )


def _reused() -> KeyReused:
    return KeyReused("idempotency key reused", "This Idempotency-Key was used with another body: choose a new one.")


def _in_flight() -> InFlight:
    return InFlight("request in progress", "A request with this Idempotency-Key is being taken in: repeat it later.")


def _already() -> AlreadyReceived:
    return AlreadyReceived(
        "request already received",
        "A request with this subject_request_id was received under another Idempotency-Key: ask for its status.",
    )
