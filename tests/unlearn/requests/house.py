"""A house that requests are served in, with two targets, for tests of what serves them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tests.unlearn.requests.submissions import submission
from tests.unlearn.target.example import KIND, Purchases
from tests.unlearn.target.people import ROWS
from unlearn.requests import audit
from unlearn.requests.certificate import defects, public_key
from unlearn.requests.intake import Intake
from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching
from unlearn.requests.states import Outcome, Step
from unlearn.requests.status import Status, status
from unlearn.requests.steps import Escalation
from unlearn.requests.tables import AuditRow, CertificateRow, StepRecord
from unlearn.requests.worker import Worker
from unlearn.target import Batch, Counts, Removal, Subject, Target, Verdict, Version

NOW = Batching(window=timedelta(0))
NEVER = Escalation(share=2.0, drift=2.0)  # of shares, which end at one
PATH = [Step.RESOLVE, Step.SUPPRESS, Step.REMOVE, Step.UNLEARN, Step.VERIFY, Step.PUBLISH, Step.PURGE]


class House:
    """Two targets and what takes requests in for them."""

    def __init__(self, ledger: Ledger, folder: Path, distrusted: Iterable[str] = ()) -> None:
        self.ledger, self.folder = ledger, folder
        for name in ("shop", "kiosk"):
            Purchases.create(folder / name, ROWS)
        self.targets: dict[str, Target] = {
            name: Purchases(folder / name, ledger.keyring.pseudonyms, frozenset(distrusted if name == "shop" else ()))
            for name in ("shop", "kiosk")
        }
        self.intake = Intake(ledger, self.suppress, due_within=timedelta(days=28))

    def suppress(self, subjects: Any) -> None:
        for target in self.targets.values():
            target.suppress(subjects)

    def ask(self, *people: str) -> str:
        return self.intake.submit(submission(*people, callbacks=("https://shop.example/hook",))).subject_request_id

    def worker(self, **changes: Any) -> Worker:
        return Worker(self.ledger, self.targets, **{"batching": NOW, "escalation": NEVER} | changes)

    def status(self, request: str) -> Status:
        return status(self.ledger, None, request)

    def steps(self, target: str) -> list[tuple[Step, Outcome]]:
        with self.ledger.database.read() as session:
            rows = session.scalars(select(StepRecord).where(StepRecord.target == target).order_by(StepRecord.id))
            return [(row.step, row.outcome) for row in rows]

    def events(self) -> list[str]:
        with self.ledger.database.read() as session:
            assert audit.first_break(session, self.ledger) is None
            return list(session.scalars(select(AuditRow.event).order_by(AuditRow.sequence)))


class Failing:
    """A target whose step raises, quoting whom it is about, until it is mended."""

    identity_types = frozenset({KIND})

    def __init__(self, inner: Target, step: str) -> None:
        self._inner, self._step, self.mended = inner, step, False

    def _checked(self, step: str, batch: Batch) -> Target:
        if step == self._step and not self.mended:
            raise OSError(f"cannot {step} {batch.subjects[0].value}")
        return self._inner

    def resolve(self, batch: Batch) -> Counts:
        return self._checked("resolve", batch).resolve(batch)

    def suppress(self, subjects: Iterable[Subject]) -> Counts:
        return self._inner.suppress(subjects)

    def release(self, subjects: Iterable[Subject]) -> Counts:
        return self._inner.release(subjects)

    def remove(self, batch: Batch) -> Removal:
        return self._checked("remove", batch).remove(batch)

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        return self._checked("unlearn", batch).unlearn(batch, retrain=retrain)

    def verify(self, batch: Batch, version: Version) -> Verdict:
        return self._checked("verify", batch).verify(batch, version)

    def publish(self, batch: Batch, version: Version) -> Counts:
        return self._checked("publish", batch).publish(batch, version)

    def rollback(self, batch: Batch, version: Version) -> Counts:
        return self._inner.rollback(batch, version)

    def purge(self, batch: Batch) -> Counts:
        return self._checked("purge", batch).purge(batch)


def strict_certificate(ledger: Ledger) -> Any:
    """The only certificate, read by a reader that knows no numbers but JSON's; it is signed and whole."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    with ledger.database.read() as session:
        document = json.loads(session.scalars(select(CertificateRow.content)).one(), parse_constant=refuse)
        for detail in session.scalars(select(AuditRow.detail)):
            json.loads(detail, parse_constant=refuse)
    assert defects(document, public_key(ledger.keyring)) == []
    return document
