"""After a backup was restored: who had been erased since it was made is found in the targets, and asked for again.

The ledger knows the erased by pseudonym alone, and a restored target has their ids again: where the pseudonym of
somebody it holds is that of somebody erased, they have come back. So have single interactions, and whatever lies under
a seal of a batch that has been closed since: no worker goes on with it, and the new request destroys it. An open batch
removes once: of whoever it has removed in some target by now it finds that they are back in its purge alone, which
fails until the new request is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import exists, select

from unlearn.requests.ledger import Ledger
from unlearn.requests.states import OPEN, RequestState, Step
from unlearn.requests.tables import Person, Request, Task
from unlearn.target import Listing, Subject, Target

_BEFORE = (Step.RESOLVE, Step.SUPPRESS, Step.REMOVE)  # nothing has been removed yet


@dataclass(frozen=True, slots=True)
class Returned:
    """Who came back, or what of theirs, and the targets that cannot say whom they hold."""

    people: tuple[Subject, ...] = field(repr=False)
    not_examined: tuple[str, ...]


def returned(ledger: Ledger, targets: Mapping[str, Target]) -> Returned:
    """Everything that a target holds and that was removed before, unless an open request is still to remove it."""
    of = ledger.keyring.pseudonyms.of
    people = select(Person.pseudonym).join(Request, Request.id == Person.request_id)
    removed = exists().where(Task.batch_id == Request.batch_id, Task.step.not_in(_BEFORE))
    with ledger.database.read() as session:
        erased = set(session.scalars(people.where((Request.state == RequestState.COMPLETED) | removed)))
        erased.difference_update(session.scalars(people.where(Request.state.in_(OPEN), ~removed)))
    listing = [target for target in targets.values() if isinstance(target, Listing)]
    back = {name: one for target in listing for one in target.people() if (name := of(one)) in erased}
    return Returned(
        people=tuple(back[name] for name in sorted(back)),
        not_examined=tuple(sorted(name for name, target in targets.items() if not isinstance(target, Listing))),
    )
