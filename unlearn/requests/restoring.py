"""After a backup was restored: who had been erased since it was made is found in the targets, and asked for again.

The ledger knows the erased by pseudonym alone, and a restored target has their ids again: where the pseudonym of
somebody it holds is that of somebody erased, they have come back. So have single interactions, and whatever lies under
a seal of a batch that has been closed since: no worker goes on with it, and the new request destroys it. An open batch
removes once: of whoever it has removed in some target by now it finds that they are back in its purge alone, which
fails until the new request is served.

Whom an open request is about is encrypted, and a ledger may be older than the keys that are left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from unlearn.requests import audit
from unlearn.requests.holds import OWNERS
from unlearn.requests.keyring import Keyring, UnusableKeyring
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.moves import about
from unlearn.requests.states import OPEN, RequestState, Step
from unlearn.requests.tables import Person, Request, Task
from unlearn.target import Listing, Subject, Target

_BEFORE = (Step.RESOLVE, Step.SUPPRESS, Step.REMOVE)  # nothing has been removed yet


@dataclass(frozen=True, slots=True)
class Returned:
    """Who came back, or what of theirs, and the targets that cannot say whom they hold."""

    people: tuple[Subject, ...] = field(repr=False)
    not_examined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reread:
    """How many requests can be read again, and by their ids those that cannot: a target cannot say whom it holds."""

    requests: int
    unreadable: tuple[str, ...]


def returned(ledger: Ledger, targets: Mapping[str, Target]) -> Returned:
    """Everything that a target holds and that was removed before, unless an open request is still to remove it."""
    people = select(Person.pseudonym).join(Request, Request.id == Person.request_id)
    removed = exists().where(Task.batch_id == Request.batch_id, Task.step.not_in(_BEFORE))
    with ledger.database.read() as session:
        erased = set(session.scalars(people.where((Request.state == RequestState.COMPLETED) | removed)))
        erased.difference_update(session.scalars(people.where(Request.state.in_(OPEN), ~removed)))
    back = _held(targets, ledger, erased)
    return Returned(tuple(back[name] for name in sorted(back)), _silent(targets))


def reread(ledger: Ledger, targets: Mapping[str, Target]) -> Reread:
    """Write anew, by what the targets hold, whom requests are about that no payload key opens any more.

    So are those of a ledger that is older than its keys. Whom no target holds there is nothing to remove of.

    Raises:
        Refused: these are not the keys of the ledger, by which nobody would be found.
    """
    with ledger.database.read() as session:
        payloads = session.execute(select(Request.id, Request.payload).where(Request.payload.is_not(None))).all()
        lost = [number for number, payload in payloads if not _opens(ledger.keyring, payload)]
        if lost and audit.first_break(session, ledger) is not None:
            raise Refused("other keys", "`keyring` must be that of this ledger (its audit key does not fit the trail).")
        asked = {number: _names(session, number) for number in lost}
    held, silent = _held(targets, ledger, frozenset[str]().union(*asked.values())), _silent(targets)
    unreadable: list[str] = []
    with ledger.database.write() as session:
        for number, names in asked.items():
            request = session.get_one(Request, number, with_for_update=True)
            found = tuple(held[name] for name in sorted(names & held.keys()))
            if len(found) < len(names) and silent:
                unreadable.append(request.subject_request_id)
                continue
            request.payload = ledger.keyring.seal(found)
            counted = {"found": len(found), "of": len(names)}
            audit.append(session, ledger, [audit.Entry("operator", "request.reread", about(number), counted)])
    return Reread(len(lost) - len(unreadable), tuple(unreadable))


def _opens(keyring: Keyring, payload: bytes | None) -> bool:
    try:
        keyring.open(payload or b"")
    except UnusableKeyring:
        return False
    return True


def _names(session: Session, number: int) -> frozenset[str]:
    """Pseudonyms of whom the request is about; whose their interactions are is not asked for."""
    return frozenset(session.scalars(select(Person.pseudonym).where(Person.request_id == number, ~OWNERS)))


def _held(targets: Mapping[str, Target], ledger: Ledger, wanted: Collection[str]) -> dict[str, Subject]:
    """Who of those is in some target, by pseudonym."""
    if not wanted:
        return {}
    of, listing = ledger.keyring.pseudonyms.of, [one for one in targets.values() if isinstance(one, Listing)]
    return {name: one for target in listing for one in target.people() if (name := of(one)) in wanted}


def _silent(targets: Mapping[str, Target]) -> tuple[str, ...]:
    """Targets that cannot say whom they hold."""
    return tuple(sorted(name for name, target in targets.items() if not isinstance(target, Listing)))
