"""What the ledger, the targets and the reader say afterwards, counted against what the clients were told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from chaos_clients import Sent
from deployment import Deployment
from sqlalchemy import select
from sqlalchemy.orm import Session

from unlearn.requests import audit
from unlearn.requests.certificate import defects, public_key
from unlearn.requests.service import Service
from unlearn.requests.states import Outcome, RequestState, Step
from unlearn.requests.status import counts
from unlearn.requests.tables import AuditRow, CertificateRow, Request, StepRecord

ONCE = {Step.RESOLVE, Step.SUPPRESS, Step.REMOVE, Step.PURGE}  # the others may come again after a version went stale


def settled(service: Service) -> bool:
    """Whether everything that was taken in is complete or cancelled."""
    now = counts(service.ledger)
    return not any(now[state] for state in (RequestState.PENDING, RequestState.ON_HOLD, RequestState.IN_PROGRESS))


def figures(
    house: Deployment, service: Service, sent: list[Sent], seen: Mapping[str, frozenset[str]]
) -> dict[str, Any]:
    """The four figures, and what they are made of."""
    ledger = service.ledger
    with ledger.database.read() as session:
        rows = {row.subject_request_id: row for row in session.scalars(select(Request))}
        steps = list(session.scalars(select(StepRecord).order_by(StepRecord.id)))
        events = Counter(
            (row.event, row.about) for row in session.scalars(select(AuditRow)) if row.event == "request.close"
        )
        whole = audit.first_break(session, ledger) is None
        certificates = [json.loads(row.content) for row in _certificates(session)]
        durability = _durability(service, session)
    key = public_key(ledger.keyring)
    faults = [
        fault
        for before, one in zip([None, *certificates], certificates, strict=False)
        for fault in defects(one, key, before)
    ]
    lost = [one for one in sent if not _kept(one, rows)]
    people: dict[str, set[str]] = {}
    for one in sent:
        if (row := rows.get(one.id)) is not None and row.batch_id is not None:
            people.setdefault(row.batch_id, set()).add(one.person)
    ended = Counter((row.batch_id, row.target, row.step) for row in steps if row.step in ONCE)
    twice = {
        "steps": sum(number - 1 for number in ended.values()),
        "closings": sum(number - 1 for number in events.values()),
        "requests": len(rows) - len({one.id for one in sent}),
        "records": _surplus(house, service, people, steps),
    }
    erased = {person for batch in people.values() for person in batch}
    target: Any = service.targets["recsys"]
    unsuppressed = sum(not target.blocks(person) for person in erased)
    return {
        "lost": len(lost),
        "applied_twice": sum(twice.values()),
        "published_with_erased": _published_with_erased(people, steps, seen),
        "chain_valid": whole and not faults,
        "durability": durability,
        "requests": len(sent),
        "cancelled": sum(one.cancelled for one in sent),
        "erased": len(erased),
        "erased_and_not_suppressed": unsuppressed,
        "batches": len(certificates),
        "versions_seen": len(seen),
        "twice": twice,
        "outcomes": dict(sorted(Counter(f"{row.target}: {row.step} {row.outcome}" for row in steps).items())),
    }


def _kept(one: Sent, rows: Mapping[str, Request]) -> bool:
    row = rows.get(one.id)
    expected = RequestState.CANCELLED if one.cancelled else RequestState.COMPLETED
    return row is not None and row.state is expected and row.payload is None


def _published_with_erased(
    people: Mapping[str, set[str]], steps: Iterable[StepRecord], seen: Mapping[str, frozenset[str]]
) -> int:
    """Versions that know somebody of their own batch, or of a batch that was published before them."""
    gone, digests, wrong = set[str](), dict[str, str](), 0
    for row in steps:
        if row.target != "recsys":
            continue
        if row.step in (Step.UNLEARN, Step.RETRAIN):
            digests[row.batch_id] = row.result["version"]["digest"]
        elif row.step == Step.PUBLISH and row.outcome == Outcome.DONE:
            gone |= people.get(row.batch_id, set())
            wrong += bool(seen.get(digests[row.batch_id], frozenset()) & gone)
    return wrong


def _surplus(house: Deployment, service: Service, people: Mapping[str, set[str]], steps: Iterable[StepRecord]) -> int:
    """By how many records the targets lost more, or less, than those of the erased."""
    from purchases import Purchases

    erased = {person for batch in people.values() for person in batch}
    shop: Any = service.targets["purchases"]
    assert isinstance(shop, Purchases)
    expected = Counter(
        f"thing {(k + step) % 7}" for k, person in enumerate(house.people) if person not in erased for step in range(3)
    )
    found = Counter(shop.counts())
    recommender: Any = service.targets["recsys"]
    data = recommender.data().data
    removed = sum(
        row.result["counts"]["interactions"] for row in steps if row.target == "recsys" and row.step is Step.REMOVE
    )
    left = house.interactions - removed - len(data)
    return abs(left) + sum(((expected - found) + (found - expected)).values())


def _certificates(session: Session) -> list[CertificateRow]:
    return list(session.scalars(select(CertificateRow).order_by(CertificateRow.sequence)))


def _durability(service: Service, session: Session) -> dict[str, str]:
    """What the database itself says of whether it keeps a commit."""
    ask = "PRAGMA {}" if service.ledger.database.sqlite else "SHOW {}"
    names = ("journal_mode", "synchronous") if service.ledger.database.sqlite else ("fsync", "synchronous_commit")
    said = {name: str(session.connection().exec_driver_sql(ask.format(name)).scalar()) for name in names}
    if list(said.values()) not in (["wal", "2"], ["on", "on"]):  # 2 is FULL
        raise SystemExit(f"the database may lose what it has acknowledged: {said}")
    return said
