"""What operators and auditors ask: the queue, the trail, the service's health."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from unlearn.requests import audit
from unlearn.requests.api.access import Auditing, Operating
from unlearn.requests.api.problems import Failure, documented
from unlearn.requests.certificate import certificate
from unlearn.requests.database import UnsafeDatabase
from unlearn.requests.service import Service
from unlearn.requests.states import RequestState
from unlearn.requests.status import listed
from unlearn.requests.tables import AuditRow
from unlearn.requests.tasks import retry

router = APIRouter(tags=["operating"])

BatchId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


class Listed(BaseModel):
    """One request in a list."""

    number: int
    controller_id: str
    subject_request_id: str
    state: str
    received_time: datetime
    expected_completion_time: datetime
    batch: str | None
    needs_attention: bool


class Retried(BaseModel):
    """How many targets retrain once more."""

    targets: int


class Row(BaseModel):
    """One row of the audit trail."""

    sequence: int
    at: datetime
    actor: str
    event: str
    about: str
    detail: str
    previous: str
    digest: str


class Chain(BaseModel):
    """Whether the trail is whole, and where it ends."""

    holds: bool
    first_break: int | None
    sequence: int
    digest: str


@router.get("/requests", responses=documented(400, 401, 403, 429))
def requests(
    request: Request,
    _: Auditing,
    state: Annotated[RequestState | None, Query()] = None,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[Listed]:
    """Requests of all callers by arrival; go on with `after` the last number."""
    service: Service = request.app.state.service
    return [
        Listed(
            number=number,
            controller_id=found.caller,
            subject_request_id=found.subject_request_id,
            state=found.state,
            received_time=found.received_at,
            expected_completion_time=found.due_at,
            batch=found.batch,
            needs_attention=found.needs_attention,
        )
        for number, found in listed(service.ledger, state=state, limit=limit, after=after)
    ]


@router.post("/batches/{batch}/retry", responses=documented(400, 401, 403, 409, 429))
def retry_batch(request: Request, caller: Operating, batch: BatchId) -> Retried:
    """Retrain once more in the targets of a batch that wait for a person's decision."""
    service: Service = request.app.state.service
    return Retried(targets=retry(service.ledger, batch, f"key:{caller.key_id}"))


@router.get("/batches/{batch}/certificate", responses=documented(400, 401, 403, 404, 429))
def read_certificate(request: Request, _: Auditing, batch: BatchId) -> dict[str, Any]:
    """What the batch did, signed: `unlearn verify-certificate` checks it."""
    service: Service = request.app.state.service
    if (found := certificate(service.ledger, batch)) is None:
        raise Failure(404, "no such certificate", "There is no such batch, or it is not closed.")
    return found


@router.get("/audit", responses=documented(400, 401, 403, 429))
def rows(
    request: Request,
    _: Auditing,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[Row]:
    """The audit trail, oldest first; go on with `after` the last sequence number."""
    service: Service = request.app.state.service
    with service.ledger.database.read() as session:
        found = select(AuditRow).where(AuditRow.sequence > after).order_by(AuditRow.sequence).limit(limit)
        return [Row.model_validate(row, from_attributes=True) for row in session.scalars(found)]


@router.get("/audit/chain", responses=documented(401, 403, 429))
def chain(request: Request, _: Auditing) -> Chain:
    """Read the whole trail and check its chain."""
    service: Service = request.app.state.service
    with service.ledger.database.read() as session:
        broken, head = audit.first_break(session, service.ledger), audit.head(session)
    return Chain(holds=broken is None, first_break=broken, sequence=head.sequence, digest=head.digest)


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses=documented(503))
def readyz(request: Request) -> dict[str, str]:
    """Requests can be taken in: the database answers, keeps what it is given, and has the right tables."""
    service: Service = request.app.state.service
    try:
        service.ledger.database.check()
    except (SQLAlchemyError, UnsafeDatabase, OSError):
        raise Failure(503, "not ready", "The database cannot be used at this moment.") from None
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """For Prometheus. Nobody is named; keep it inside all the same."""
    content, kind = request.app.state.metrics.exposition()
    return Response(content, media_type=kind)
