"""Legal holds: people whose records must not be deleted for as long as the hold lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Subquery, func, literal, select

from unlearn.requests import audit
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.moves import move
from unlearn.requests.states import RequestEvent, RequestState
from unlearn.requests.tables import BatchRow, Hold, Person, Request
from unlearn.target import Subject

_LONGEST = 95  # characters of a reference: the trail has room for so many behind `hold:`
_OWNER, _KEPT = "owner:", 58  # together as long as a pseudonym
OWNERS = Person.pseudonym.startswith(_OWNER)


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
        """Forbid deletion, under a reference to the reason; a second time changes nothing.

        Raises:
            ValueError: the reference is empty, too long or not printable.
            Refused: they are on hold already, under another reference.
        """
        if not (reference.strip() and reference.isprintable() and len(reference) <= _LONGEST):
            raise ValueError(f"`reference` must have 1 to {_LONGEST} printable characters (got {len(reference)})")
        pseudonym = self._ledger.keyring.pseudonyms.of(subject)
        with self._ledger.database.write() as session:
            # The lock that a batch's check takes: of the two, the second sees what the first has done.
            audit.lock(session, self._ledger)
            if (hold := session.get(Hold, pseudonym)) is None:
                entry = audit.Entry("operator", "hold.placed", f"hold:{reference}", {})
                audit.append(session, self._ledger, [entry])
                session.add(Hold(pseudonym=pseudonym, reference=reference, placed_at=self._ledger.now()))
            elif hold.reference != reference:
                raise Refused("already on hold", f"They are on hold already, for {hold.reference}: nothing was placed.")
            theirs = select(Person.request_id).where(Person.pseudonym.in_([pseudonym, owner(pseudonym)]))
            late = (
                select(Request.subject_request_id)
                .join(BatchRow, BatchRow.id == Request.batch_id)
                .where(Request.id.in_(theirs), BatchRow.holds_checked_at.is_not(None))
                .order_by(Request.id)
            )
            return Placed(pseudonym, tuple(session.scalars(late)))

    def lift(self, pseudonym: str, actor: str = "operator", *, reference: str | None = None) -> int | None:
        """Allow deletion again; returns how many requests go on by that, None where there was no hold.

        Raises:
            Refused: the hold is for another reference than the one given.
        """
        with self._ledger.database.write() as session:
            audit.lock(session, self._ledger)
            if (hold := session.get(Hold, pseudonym)) is None:
                return None
            if reference not in (None, hold.reference):
                raise Refused("another hold", f"They are on hold for {hold.reference}: nothing was lifted.")
            entry = audit.Entry(actor, "hold.lifted", f"hold:{hold.reference}", {})
            audit.append(session, self._ledger, [entry])
            session.delete(hold)
            session.flush()
            free = session.scalars(select(Request).where(Request.state == RequestState.ON_HOLD, ~held())).all()
            move(session, self._ledger, free, RequestEvent.LIFT, actor)
            return len(free)

    def list(self) -> list[tuple[str, str, datetime]]:
        """Pseudonym, reference and beginning of every hold."""
        with self._ledger.database.read() as session:
            return [(row.pseudonym, row.reference, row.placed_at) for row in session.scalars(select(Hold))]


def held() -> ColumnElement[bool]:
    """Which requests are about somebody on hold, be it about a part of them alone."""
    return Request.id.in_(select(Person.request_id).where(Person.pseudonym.in_(select(_listed().c.pseudonym))))


def owner(pseudonym: str) -> str:
    """How a request lists somebody of whom it asks for single interactions alone.

    Not by their pseudonym, by which those are listed who are suppressed and erased as a whole.
    """
    return f"{_OWNER}{pseudonym[:_KEPT]}"


def requests_by_hold() -> Select[int, str]:
    """Ids of the requests about people on hold, or about a part of them, each with the pseudonym of the hold.

    A request about both is there twice.
    """
    listed = _listed()
    return select(Person.request_id, listed.c.hold).join(listed, Person.pseudonym == listed.c.pseudonym)


def _listed() -> Subquery:
    """By which names requests list the people on hold, each with the pseudonym of the hold.

    By this table, which has no index, SQLite looks people up in theirs, and not the other way round.
    """
    as_owner = literal(_OWNER).concat(func.substr(Hold.pseudonym, 1, _KEPT))
    whole = select(Hold.pseudonym.label("hold"), Hold.pseudonym.label("pseudonym"))
    return whole.union_all(select(Hold.pseudonym, as_owner)).subquery()
