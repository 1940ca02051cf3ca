"""The tables of the ledger. None of them holds an id of a person: pseudonyms, and payloads that are encrypted."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Enum, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from unlearn.requests.states import Outcome, RequestState, Step


class Instant(TypeDecorator[datetime]):
    """A moment with its time zone, on databases that have none, too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Into UTC; a moment without a zone is a defect."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment in the ledger must have a time zone (got {value!r})")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _named(kind: type[StrEnum]) -> Enum:
    """A column of text that holds the values of the enumeration, and is read back as its members."""
    return Enum(kind, native_enum=False, length=20, values_callable=lambda members: [str(one) for one in members])


class Base(DeclarativeBase):
    """All tables; constraints are named, so that a migration can find them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it from the class)
        datetime: Instant,
        dict[str, Any]: JSON,
        list[str]: JSON,
        RequestState: _named(RequestState),
        Step: _named(Step),
        Outcome: _named(Outcome),
    }


_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows of an INTEGER key alone


class ApiKey(Base):
    """A key to the API: what it may do, for whom, and its digest."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    caller: Mapped[str] = mapped_column(String(100))
    roles: Mapped[list[str]]
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SessionRow(Base):
    """Somebody who came to the page with a key: by the digest of what their cookie holds."""

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Request(Base):
    """A request to be forgotten, as a caller made it."""

    __tablename__ = "requests"
    __table_args__ = (
        # What makes a request happen once, whoever repeats it however often.
        Index("uq_requests_subject_request_id_caller", "subject_request_id", "caller", unique=True),
        Index("uq_requests_caller_idempotency_key", "caller", "idempotency_key", unique=True),
        Index("ix_requests_state_due_at", "state", "due_at"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    caller: Mapped[str] = mapped_column(String(100))
    subject_request_id: Mapped[str] = mapped_column(String(36))
    idempotency_key: Mapped[str] = mapped_column(String(255))  # keyed digest of it, for it may name the person
    fingerprint: Mapped[str] = mapped_column(String(64))  # keyed digest of the body
    regulation: Mapped[str] = mapped_column(String(20))
    callbacks: Mapped[list[str]]  # URLs, encrypted; none once the request is closed
    state: Mapped[RequestState]
    submitted_at: Mapped[datetime]
    received_at: Mapped[datetime]
    due_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id"), index=True)
    payload: Mapped[bytes | None] = mapped_column(LargeBinary)  # encrypted; none once the request is closed


class Person(Base):
    """Whom a request is about, by pseudonym."""

    __tablename__ = "people"

    request_id: Mapped[int] = mapped_column(ForeignKey("requests.id"), primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class Hold(Base):
    """A legal hold: nothing of this person may be deleted while it lasts."""

    __tablename__ = "holds"

    pseudonym: Mapped[str] = mapped_column(String(64), primary_key=True)
    reference: Mapped[str] = mapped_column(String(200))
    placed_at: Mapped[datetime]


class BatchRow(Base):
    """Requests that are served together, and the worker that serves them."""

    __tablename__ = "batches"
    __table_args__ = (Index("ix_batches_closed_at_due_at", "closed_at", "due_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    holds_checked_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0)  # grows with every claim: an old claimant can record nothing
    attempts: Mapped[int] = mapped_column(default=0)  # exceptions since the last step that ended
    not_before: Mapped[datetime]


class Task(Base):
    """A batch in one target: the step that is next."""

    __tablename__ = "tasks"

    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    target: Mapped[str] = mapped_column(String(100), primary_key=True)
    step: Mapped[Step] = mapped_column(index=True)
    version: Mapped[dict[str, Any] | None]


class StepRecord(Base):
    """A step that ended: when, how, and what it said."""

    __tablename__ = "steps"
    __table_args__ = (Index("ix_steps_target_step_batch_id", "target", "step", "batch_id"),)

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), index=True)
    target: Mapped[str] = mapped_column(String(100))
    step: Mapped[Step]
    outcome: Mapped[Outcome]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    result: Mapped[dict[str, Any]]


class CertificateRow(Base):
    """What a closed batch did, signed; each is chained to the one before it."""

    __tablename__ = "certificates"

    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    content: Mapped[str] = mapped_column(Text)


class Callback(Base):
    """A change of status that a controller is to be told: written with the change itself, sent afterwards."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_ended_at_not_before", "ended_at", "not_before"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("requests.id"), index=True)
    url: Mapped[str] = mapped_column(Text)  # encrypted; empty once it has ended
    status: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    delivered: Mapped[bool] = mapped_column(default=False)


class AuditRow(Base):
    """What happened, each row chained to the one before it by a keyed digest; rows are only ever added."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(100))
    event: Mapped[str] = mapped_column(String(40))
    about: Mapped[str] = mapped_column(String(100), index=True)
    detail: Mapped[str] = mapped_column(Text)  # JSON, byte for byte as it was digested
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
