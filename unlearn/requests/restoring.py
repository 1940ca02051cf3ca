"""After a backup was restored: who had been erased since it was made is found in the targets, and asked for again.

The ledger knows the erased by pseudonym alone, and a restored target has their ids again: where the pseudonym of
somebody it holds is that of somebody erased, they have come back. So have single interactions, and whatever lies under
a seal of a batch that has been closed since: no worker goes on with it, and the new request destroys it.
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
    """Who came back, or what of theirs, and the targets that cannot say whom they hold."""

    people: tuple[Subject, ...] = field(repr=False)
    not_examined: tuple[str, ...]


def returned(ledger: Ledger, targets: Mapping[str, Target]) -> Returned:
    """Everything that a target holds and whose erasure is complete, unless an open request asks for it again."""
    of = ledger.keyring.pseudonyms.of
    people = select(Person.pseudonym).join(Request, Request.id == Person.request_id)
    with ledger.database.read() as session:
        erased = set(session.scalars(people.where(Request.state == RequestState.COMPLETED)))
        erased.difference_update(session.scalars(people.where(Request.state.in_(OPEN))))
    listing = [target for target in targets.values() if isinstance(target, Listing)]
    back = {name: one for target in listing for one in target.people() if (name := of(one)) in erased}
    return Returned(
        people=tuple(back[name] for name in sorted(back)),
        not_examined=tuple(sorted(name for name, target in targets.items() if not isinstance(target, Listing))),
    )
