"""A batch in each of its targets: what step is next, and what every step said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from unlearn.requests import audit
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.queue import Claim, Queue
from unlearn.requests.states import Outcome, Step, after_step
from unlearn.requests.tables import BatchRow, StepRecord, Task
from unlearn.target import Version


@dataclass(frozen=True, slots=True)
class Due:
    """The step that is next in one target, and the version that it is about, if one was made."""

    target: str
    step: Step
    version: Version | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended: its outcome, what goes into the ledger about it, and the version if it made one."""

    outcome: Outcome
    result: Mapping[str, Any]
    version: Version | None = None


def due(ledger: Ledger, claim: Claim) -> list[Due]:
    """The next step in every target of the batch, by name of the target."""
    with ledger.database.read() as session:
        rows = session.scalars(select(Task).where(Task.batch_id == claim.batch_id).order_by(Task.target)).all()
    return [Due(row.target, row.step, None if row.version is None else Version(**row.version)) for row in rows]


def record(ledger: Ledger, queue: Queue, claim: Claim, done: Due, ended: Ended, started: datetime) -> Due:
    """Write down how the step ended, and what comes next; returns that.

    Raises:
        LostLease: the batch is another worker's; nothing was written.
    """
    following = after_step(done.step, ended.outcome)
    with ledger.database.write() as session:
        batch = queue.mine(session, claim)
        task = session.get_one(Task, (claim.batch_id, done.target))
        version = ended.version or done.version
        task.step, task.version = following, None if version is None else asdict(version)
        batch.attempts = 0
        row = StepRecord(
            batch_id=batch.id, target=done.target, step=done.step, outcome=ended.outcome, started_at=started,
            ended_at=ledger.now(), result=dict(ended.result),
        )  # fmt: skip
        session.add(row)
        detail = {"target": done.target, "step": done.step, "outcome": ended.outcome, **ended.result}
        audit.append(session, ledger, [audit.Entry(claim.worker, "step.ended", f"batch:{batch.id}", detail)])
    return Due(done.target, following, version)


def retry(ledger: Ledger, batch_id: str, actor: str) -> int:
    """Have every target of the batch whose retrain failed its verification retrain once more; returns how many do.

    Raises:
        Refused: there is none, or no such batch.
    """
    with ledger.database.write() as session:
        stuck = select(Task).where(Task.batch_id == batch_id, Task.step == Step.ATTENTION)
        tasks = list(session.scalars(stuck))
        if not tasks:
            raise Refused(
                "nothing to retry",
                f"No target of batch {batch_id!r} needs attention because its retrain failed its verification; a step "
                "that raised is tried again by itself.",
            )
        entries: list[audit.Entry] = []
        for task in tasks:
            task.step = after_step(task.step, Outcome.RETRY)
            entries.append(audit.Entry(actor, "step.retried", f"batch:{batch_id}", {"target": task.target}))
        session.get_one(BatchRow, batch_id).not_before = ledger.now()
        audit.append(session, ledger, entries)
        return len(tasks)
