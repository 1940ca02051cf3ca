"""Exact retrains on schedule: batches of nobody, which pay back what unlearning approximated since the last one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Exists, exists, func, select
from sqlalchemy.orm import Session, aliased

from unlearn.requests.states import Outcome, Step
from unlearn.requests.tables import AuditRow, BatchRow, Request, StepRecord, Task


def overdue(session: Session, targets: Iterable[str], now: datetime, every: timedelta) -> list[str]:
    """Targets of which no version that was trained from the beginning has been published for so long.

    Where there was none yet, it counts from the beginning of the ledger. A target whose retrain is under way, or waits
    for a person's decision, is not overdue.
    """
    # Of the rows in their order, for there is no index by time, the first that was written by no clock that was ahead.
    began = session.scalar(select(AuditRow.at).where(AuditRow.at <= now).order_by(AuditRow.sequence).limit(1))
    return [
        name
        for name in targets
        if began is not None
        and (_last_retrain(session, name, now + every) or began) + every <= now
        and session.scalar(select(_under_way(name))) is not True
    ]


def _last_retrain(session: Session, target: str, latest: datetime) -> datetime | None:
    # One that ended later than that was recorded by a clock that has been put right since.
    published = aliased(StepRecord)
    same = (published.batch_id == StepRecord.batch_id) & (published.target == StepRecord.target)
    of_target = (StepRecord.target == target) & (StepRecord.step == Step.RETRAIN) & (StepRecord.ended_at <= latest)
    served = exists().where(same, published.step == Step.PUBLISH, published.outcome == Outcome.DONE)
    return session.scalar(select(func.max(StepRecord.ended_at)).where(of_target, served))


def _under_way(target: str) -> Exists:
    of_nobody = ~exists().where(Request.batch_id == BatchRow.id)
    concerned = exists().where(Task.batch_id == BatchRow.id, Task.target == target, Task.step != Step.DONE)
    return exists().where(BatchRow.closed_at.is_(None), of_nobody, concerned)
