"""Legal holds: people whose records must not be deleted for as long as the hold lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from unlearn.requests import audit
from unlearn.requests.ledger import Ledger
from unlearn.requests.moves import move
from unlearn.requests.states import RequestEvent, RequestState
from unlearn.requests.tables import BatchRow, Hold, Person, Request
from unlearn.target import Subject


@dataclass(frozen=True, slots=True)
class Placed:
    """A hold, and the requests that came too far before it: their batch was past its check."""

    pseudonym: str
    too_late_for: tuple[str, ...]  # by subject_request_id


class Holds:
    """The holds in the ledger. The check of a batch finds them; a hold does not lift a suppression."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def place(self, subject: Subject, reference: str) -> Placed:
        """Forbid deletion, under a reference to the reason; a second time changes nothing."""
        pseudonym = self._ledger.keyring.pseudonyms.of(subject)
        with self._ledger.database.write() as session:
            # Its lock is the one that a batch's check takes: of the two, the second sees what the first has done.
            entry = audit.Entry("operator", "hold.placed", f"hold:{reference}", {})
            audit.append(session, self._ledger, [entry])
            if session.get(Hold, pseudonym) is None:
                session.add(Hold(pseudonym=pseudonym, reference=reference, placed_at=self._ledger.now()))
            late = (
                select(Request.subject_request_id)
                .join(Person, Person.request_id == Request.id)
                .join(BatchRow, BatchRow.id == Request.batch_id)
                .where(Person.pseudonym == pseudonym, BatchRow.holds_checked_at.is_not(None))
                .order_by(Request.id)
            )
            return Placed(pseudonym, tuple(session.scalars(late)))

    def lift(self, pseudonym: str, actor: str = "operator") -> int:
        """Allow deletion again; returns how many requests go on by that."""
        with self._ledger.database.write() as session:
            if (hold := session.get(Hold, pseudonym)) is None:
                return 0
            entry = audit.Entry(actor, "hold.lifted", f"hold:{hold.reference}", {})
            audit.append(session, self._ledger, [entry])
            session.delete(hold)
            session.flush()
            held = select(Person.request_id).join(Hold, Hold.pseudonym == Person.pseudonym)
            waiting = select(Request).where(Request.state == RequestState.ON_HOLD, Request.id.not_in(held))
            free = list(session.scalars(waiting))
            move(session, self._ledger, free, RequestEvent.LIFT, actor)
            return len(free)

    def list(self) -> list[tuple[str, str, datetime]]:
        """Pseudonym, reference and beginning of every hold."""
        with self._ledger.database.read() as session:
            return [(row.pseudonym, row.reference, row.placed_at) for row in session.scalars(select(Hold))]
