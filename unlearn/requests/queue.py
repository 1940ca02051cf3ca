"""Batches: formed from what is pending, claimed by one worker at a time, closed when every target is done.

A claim is a lease with a fence. A worker that lost its lease, because it hung or its machine slept, still believes in
its claim; its fence is then an old one, and the ledger takes nothing from it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.orm import Session

from unlearn.requests import audit, certificate
from unlearn.requests.holds import held
from unlearn.requests.ledger import Ledger
from unlearn.requests.moves import move
from unlearn.requests.schedule import overdue
from unlearn.requests.states import RESTING, RequestEvent, RequestState, Step
from unlearn.requests.tables import BatchRow, Request, Task
from unlearn.target import Batch

LONGEST_LEASE = timedelta(days=1)
_FIRST_DELAY, _LONGEST_DELAY = timedelta(seconds=5), timedelta(hours=1)


class LostLease(RuntimeError):
    """Another worker has the batch."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch that this worker has, until its lease ends."""

    batch_id: str
    worker: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """When pending requests become a batch: at `limit` of them, `window` after the first, `margin` before it is due.

    `retrain_every`: how long after its last full training a target is trained anew, requests or not; None for never.
    """

    window: timedelta = timedelta(hours=1)
    limit: int = 256
    margin: timedelta = timedelta(days=3)
    retrain_every: timedelta | None = None


class Queue:
    """The batches in the ledger, for the targets of these names."""

    def __init__(self, ledger: Ledger, targets: Iterable[str], batching: Batching, *, lease: timedelta) -> None:
        self._ledger = ledger
        self._targets = sorted(targets)
        self._batching = batching
        self._lease = lease

    def claim(self, worker: str) -> Claim | None:
        """The open batch that is due first and that nobody has, else a new one if it is time for one, else None."""
        now = self._ledger.now()
        with self._ledger.database.write() as session:
            # What lies further ahead than any wait lasts was written by a clock that has been put right since.
            free = or_(
                BatchRow.lease_until.is_(None), BatchRow.lease_until < now, BatchRow.lease_until > now + LONGEST_LEASE
            )
            due = or_(BatchRow.not_before <= now, BatchRow.not_before > now + _LONGEST_DELAY)
            if self._ledger.database.sqlite and session.scalar(
                select(exists().where(BatchRow.closed_at.is_(None), ~free))
            ):
                return None  # one claimant at a time
            waiting = exists().where(Task.batch_id == BatchRow.id, Task.step.not_in(RESTING))
            stuck = exists().where(Task.batch_id == BatchRow.id, Task.step == Step.ATTENTION)
            claimable = (
                select(BatchRow)
                .where(BatchRow.closed_at.is_(None), free, due, or_(waiting, ~stuck))
                .order_by(BatchRow.due_at, BatchRow.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            batch = session.scalars(claimable).first() or self._form(session) or self._scheduled(session)
            if batch is None:
                return None
            batch.worker, batch.lease_until, batch.fence = worker, now + self._lease, batch.fence + 1
            return Claim(batch.id, worker, batch.fence)

    def _form(self, session: Session) -> BatchRow | None:
        pending = select(Request).where(Request.state == RequestState.PENDING).limit(self._batching.limit)
        on_hold = pending.where(held())
        if not (self._ripe(session) or session.scalar(select(on_hold.exists()))):
            return None
        # Before any request is locked, like whoever cancels one or lifts a hold; what they have done is seen now.
        audit.lock(session, self._ledger)
        if found := session.scalars(on_hold).all():
            move(session, self._ledger, found, RequestEvent.HOLD, "worker")
        if not self._ripe(session):
            return None
        requests = session.scalars(pending.order_by(Request.due_at, Request.id)).all()
        batch = self._add(session, self._targets, Step.RESOLVE, due_at=min(one.due_at for one in requests))
        for request in requests:
            request.batch_id = batch.id
        move(session, self._ledger, requests, RequestEvent.CLAIM, "worker")
        return batch

    def _ripe(self, session: Session) -> bool:
        """Whether it is time for a batch of what is pending."""
        now, plan = self._ledger.now(), self._batching
        of_pending = select(func.count(), func.min(Request.received_at), func.min(Request.due_at))
        number, first, due = session.execute(of_pending.where(Request.state == RequestState.PENDING)).one()
        if not number:
            return False
        # What came so long after now was received by a clock that has been put right since.
        waits = now - plan.window < first <= now + plan.window
        return number >= plan.limit or not waits or due - plan.margin <= now

    def _scheduled(self, session: Session) -> BatchRow | None:
        now, every = self._ledger.now(), self._batching.retrain_every
        if every is None or not overdue(session, self._targets, now, every):
            return None
        audit.lock(session, self._ledger)  # of several workers one forms the batch; the others see it now
        if not (targets := overdue(session, self._targets, now, every)):
            return None
        batch = self._add(session, targets, Step.RETRAIN, due_at=now + every)
        batch.holds_checked_at = now  # it is about nobody
        audit.append(
            session,
            self._ledger,
            [audit.Entry("worker", "retrain.scheduled", f"batch:{batch.id}", {"targets": targets})],
        )
        return batch

    def _add(self, session: Session, targets: Iterable[str], step: Step, *, due_at: datetime) -> BatchRow:
        now = self._ledger.now()
        batch = BatchRow(id=secrets.token_hex(16), created_at=now, due_at=due_at, fence=0, not_before=now)
        session.add(batch)
        session.flush()
        session.add_all(Task(batch_id=batch.id, target=target, step=step) for target in targets)
        return batch

    def heartbeat(self, claim: Claim) -> bool:
        """Keep the lease; False where it is lost."""
        mine = (BatchRow.id == claim.batch_id) & (BatchRow.fence == claim.fence)
        with self._ledger.database.write() as session:
            kept = session.execute(
                update(BatchRow).where(mine).values(lease_until=self._ledger.now() + self._lease).returning(BatchRow.id)
            )
            return kept.first() is not None

    def people(self, claim: Claim) -> Batch:
        """Whom the batch is about, in an order that does not depend on the database."""
        with self._ledger.database.read() as session:
            payloads = session.scalars(select(Request.payload).where(Request.batch_id == claim.batch_id)).all()
        opened = (self._ledger.keyring.open(payload) for payload in payloads if payload is not None)
        subjects = {(one.type, one.value): one for subjects in opened for one in subjects}
        return Batch(claim.batch_id, tuple(subjects[key] for key in sorted(subjects)))

    def check_holds(self, claim: Claim) -> bool:
        """Take requests about people on hold out of the batch; afterwards it is fixed. False where nothing is left.

        Checked once: from then on things are removed, and a hold comes too late.
        """
        with self._ledger.database.write() as session:
            batch = self.mine(session, claim)
            if batch.holds_checked_at is not None:
                return batch.closed_at is None
            audit.append(session, self._ledger, [audit.Entry(claim.worker, "holds.checked", f"batch:{batch.id}", {})])
            of_batch = select(Request).where(Request.batch_id == batch.id)
            out = session.scalars(of_batch.where(held())).all()
            move(session, self._ledger, out, RequestEvent.HOLD, claim.worker)
            for request in out:
                request.batch_id = None
            batch.holds_checked_at = self._ledger.now()
            session.flush()
            if session.scalars(of_batch.limit(1)).first() is None:
                batch.closed_at = self._ledger.now()
                return False
            return True

    def close(self, claim: Claim) -> bool:
        """Complete the requests if every target is done, and destroy who they were about; else let go of the batch.

        Certificate and callbacks come with it.
        """
        with self._ledger.database.write() as session:
            batch = self.mine(session, claim)
            batch.lease_until = None
            steps = set(session.scalars(select(Task.step).where(Task.batch_id == batch.id)))
            if steps - {Step.DONE}:
                return False
            requests = list(session.scalars(select(Request).where(Request.batch_id == batch.id).order_by(Request.id)))
            move(session, self._ledger, requests, RequestEvent.CLOSE, claim.worker)
            certificate.issue(session, self._ledger, batch)
            for request in requests:
                request.payload = None
            batch.closed_at = self._ledger.now()
        self._ledger.database.scrub()
        return True

    def failed(self, claim: Claim, error: str) -> None:
        """Let go of the batch for a while, longer every time: `error` is the class of an exception, never its text."""
        with self._ledger.database.write() as session:
            batch = self.mine(session, claim)
            batch.attempts += 1
            delay = min(_FIRST_DELAY * 2 ** min(batch.attempts - 1, 20), _LONGEST_DELAY)
            batch.lease_until, batch.not_before = None, self._ledger.now() + delay
            detail = {"error": error, "attempt": batch.attempts, "seconds": delay.total_seconds()}
            audit.append(
                session, self._ledger, [audit.Entry(claim.worker, "batch.failed", f"batch:{batch.id}", detail)]
            )

    def mine(self, session: Session, claim: Claim) -> BatchRow:
        """The batch, locked, if the claim still holds.

        Raises:
            LostLease: another worker has claimed it since.
        """
        batch = session.get_one(BatchRow, claim.batch_id, with_for_update=True)
        if batch.fence != claim.fence:
            raise LostLease(f"batch {batch.id} was claimed by another worker; nothing was recorded")
        return batch
