"""After a backup was restored: who had been erased since it was made is found in the targets, and asked for again.

The ledger knows the erased by pseudonym alone, and a restored target has their ids again: where the pseudonym of
somebody it holds is that of somebody erased, they have come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from unlearn.requests.ledger import Ledger
from unlearn.requests.states import OPEN, RequestState
from unlearn.requests.tables import Person, Request
from unlearn.target import Listing, Subject, Target


@dataclass(frozen=True, slots=True)
class Returned:
    """Who came back, and the targets that cannot say whom they hold."""

    people: tuple[Subject, ...] = field(repr=False)
    not_examined: tuple[str, ...]


def returned(ledger: Ledger, targets: Mapping[str, Target]) -> Returned:
    """Everybody that a target holds and whose erasure is complete, unless an open request is about them again."""
    of = ledger.keyring.pseudonyms.of
    listing = [target for target in targets.values() if isinstance(target, Listing)]
    held = {of(subject): subject for target in listing for subject in target.people()}
    people = select(Person.pseudonym).join(Request, Request.id == Person.request_id)
    with ledger.database.read() as session:
        erased = session.scalars(people.where(Request.state == RequestState.COMPLETED)).yield_per(1_000)
        back = {name: held[name] for name in erased if name in held}
        for name in session.scalars(people.where(Request.state.in_(OPEN))):
            back.pop(name, None)
    return Returned(
        people=tuple(back[name] for name in sorted(back)),
        not_examined=tuple(sorted(name for name, target in targets.items() if not isinstance(target, Listing))),
    )
