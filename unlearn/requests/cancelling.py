"""Taking a request back, while nothing of it has been removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from unlearn.requests import audit
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.moves import about, move
from unlearn.requests.states import REQUESTS, RequestEvent, RequestState
from unlearn.requests.status import find
from unlearn.requests.tables import Person, Request
from unlearn.target import Subject


class TooLate(Refused):
    """The request is being served or is closed."""


class Cancelling:
    """Cancels requests, and releases whom no other request is about.

    Args:
        release: returns when every target answers to and about these people again.
    """

    def __init__(self, ledger: Ledger, release: Callable[[Sequence[Subject]], object]) -> None:
        self._ledger = ledger
        self._release = release

    def cancel(self, caller: str | None, subject_request_id: str) -> None:
        """Cancel the request; of any caller where `caller` is None. A second time changes nothing.

        Raises:
            NoSuchRequest: there is none.
            TooLate: it is being served or complete.
            UnusableKeyring: no key opens whom it is about, who could not be released.
        """
        with self._ledger.database.write() as session:
            audit.lock(session, self._ledger)  # before the request's, like whoever forms a batch or lifts a hold
            request = find(session, caller, subject_request_id, lock=True)
            if request.state != RequestState.CANCELLED:
                if (request.state, RequestEvent.CANCEL) not in REQUESTS:
                    raise TooLate(
                        "request not pending", f"Only a pending request can be cancelled; this one is {request.state}."
                    )
                if request.payload is not None:  # unreleased, they would stay so
                    self._ledger.keyring.open(request.payload)
                move(session, self._ledger, [request], RequestEvent.CANCEL, caller or "operator")
        self.finish()

    def finish(self) -> int:
        """Release the people of cancelled requests; also of those that a killed process left unreleased.

        Their payload, which says who they are, goes with that.
        """
        with self._ledger.database.read() as session:
            unreleased = select(Request.id).where(
                (Request.state == RequestState.CANCELLED) & Request.payload.is_not(None)
            )
            waiting = session.scalars(unreleased).all()
        for request_id in waiting:
            with self._ledger.database.write() as session:
                self._finish(session, request_id)
        if waiting:
            self._ledger.database.scrub()
        return len(waiting)

    def _finish(self, session: Session, request_id: int) -> None:
        # First: new requests about the same people wait for it until this is committed.
        audit.lock(session, self._ledger)
        request = session.get_one(Request, request_id)
        if request.payload is None:
            return
        audit.append(session, self._ledger, [audit.Entry("service", "request.released", about(request.id), {})])
        subjects = {self._ledger.keyring.pseudonyms.of(one): one for one in self._ledger.keyring.open(request.payload)}
        theirs = select(Person.pseudonym).where(Person.request_id == request_id)
        others = (
            select(Person.pseudonym)
            .join(Request, Request.id == Person.request_id)
            .where(Person.pseudonym.in_(theirs), Request.state != RequestState.CANCELLED)
        )
        still_asked_for = set(session.scalars(others))
        self._release([subject for name, subject in subjects.items() if name not in still_asked_for])
        request.payload = None
