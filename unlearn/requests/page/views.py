"""What there is to see, a function a page."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from unlearn.requests import audit
from unlearn.requests.api.opendsr import RequestId
from unlearn.requests.api.operating import BatchId
from unlearn.requests.api.problems import Failure
from unlearn.requests.callers import Role
from unlearn.requests.certificate import certificate_of_request, public_key
from unlearn.requests.health import health
from unlearn.requests.page import listing, reading, shown
from unlearn.requests.page.access import Auditing, Visiting
from unlearn.requests.page.rendering import page
from unlearn.requests.service import Service
from unlearn.requests.states import REQUESTS, RequestEvent
from unlearn.requests.tables import AuditRow, CertificateRow

router = APIRouter()

Done = Annotated[Literal["cancelled", "retried", "lifted"] | None, Query()]
Controller = Annotated[str | None, Query(max_length=100, pattern=listing.WITHOUT_NUL)]
_ROWS = 100


@router.get("/")
def home() -> Response:
    """Where the page begins."""
    return RedirectResponse("/page/requests", 303)


@router.get("/requests")
def requests(request: Request, visit: Visiting, asked: Annotated[listing.Listing, Query()]) -> Response:
    """Requests with their clocks."""
    service: Service = request.app.state.service
    soon, now = _margin(service), service.ledger.now()
    found = listing.find(service.ledger, visit.caller.scope, asked, soon=soon)
    rows = [
        {
            "status": one,
            "clock": shown.clock(one, now, soon),
            "sign": shown.sign(one),
            "tracks": [shown.track(name, step, failing=one.failing) for name, step in one.targets.items()],
        }
        for one in found.rows
    ]
    return page("requests.html", visit=visit, here="requests", asked=asked, found=found, rows=rows, soon=soon,
                size=listing.SIZE, now=now)  # fmt: skip


@router.get("/requests/{subject_request_id}")
def one_request(
    request: Request,
    visit: Visiting,
    subject_request_id: RequestId,
    controller: Controller = None,
    done: Done = None,
) -> Response:
    """One request, with its history."""
    service: Service = request.app.state.service
    own = visit.caller.scope
    found = reading.one_request(service.ledger, own or controller, subject_request_id, whole=own is None)
    one, now = found.status, service.ledger.now()
    mine = Role.SUBMIT in visit.caller.roles and one.caller == visit.caller.name
    return page(
        "request.html", visit=visit, here="requests", found=found, one=one, done=done, now=now,
        clock=shown.clock(one, now, _margin(service)), sign=shown.sign(one), whole=own is None,
        tracks=[shown.track(name, step, failing=one.failing) for name, step in one.targets.items()],
        cancellable=mine and (one.state, RequestEvent.CANCEL) in REQUESTS,
    )  # fmt: skip


@router.get("/requests/{subject_request_id}/certificate.json")
def certificate_of_one_request(
    request: Request, visit: Visiting, subject_request_id: RequestId, controller: Controller = None
) -> Response:
    """The certificate of one request, which discloses nothing of another one."""
    service: Service = request.app.state.service
    found = certificate_of_request(service.ledger, visit.caller.scope or controller, subject_request_id)
    if found is None:
        raise Failure(404, "no such certificate", "There is one as soon as the request is completed.")
    return _download(found["sequence"], json.dumps(found, indent=1))


@router.get("/batches/{batch}")
def one_batch(request: Request, visit: Auditing, batch: BatchId, done: Done = None) -> Response:
    """What a batch did, to read and to print: the report behind its certificate."""
    service: Service = request.app.state.service
    found = _batch(service, batch)
    failing = found.row.attempts > 0
    return page(
        "batch.html", visit=visit, here="queue", found=found, done=done, now=service.ledger.now(), failing=failing,
        tracks=[shown.track(name, step, failing=failing) for name, step in found.targets.items()],
        public_key=public_key(service.ledger.keyring), may_retry=Role.OPERATE in visit.caller.roles,
    )  # fmt: skip


@router.get("/batches/{batch}/certificate.json")
def certificate(request: Request, _: Auditing, batch: BatchId) -> Response:
    """The certificate with everything disclosed."""
    service: Service = request.app.state.service
    found: CertificateRow | None = _batch(service, batch).certificate
    if found is None:
        raise Failure(404, "no such certificate", "The batch is not closed.")
    return _download(found.sequence, found.content)


@router.get("/queue")
def queue(request: Request, visit: Auditing) -> Response:
    """How the service is doing."""
    service: Service = request.app.state.service
    now, days = service.ledger.now(), reading.due_by_day(service.ledger)
    calendar = [(now + timedelta(days=k)).date() for k in range(service.settings.due_within_days + 1)]
    batches = [
        (one, [shown.track(name, step, failing=one.row.attempts > 0) for name, step in one.targets.items()])
        for one in reading.open_batches(service.ledger)
    ]
    return page(
        "queue.html", visit=visit, here="queue", health=health(service.ledger), batches=batches, now=now,
        calendar=[(day, days.get(day.isoformat(), 0)) for day in calendar], margin=_margin(service),
        database="SQLite" if service.ledger.database.sqlite else "PostgreSQL", targets=sorted(service.targets),
    )  # fmt: skip


@router.get("/models")
def models(request: Request, visit: Auditing) -> Response:
    """Versions of the targets' models."""
    service: Service = request.app.state.service
    return page("models.html", visit=visit, here="models", versions=reading.versions(service.ledger))


@router.get("/holds")
def holds(request: Request, visit: Auditing, done: Done = None) -> Response:
    """Legal holds."""
    service: Service = request.app.state.service
    may_lift = Role.OPERATE in visit.caller.roles
    found = reading.standing_holds(service.ledger)
    return page("holds.html", visit=visit, here="holds", holds=found, may_lift=may_lift, done=done)


@router.get("/trail")
def trail(
    request: Request,
    visit: Auditing,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    check: bool = False,
) -> Response:
    """The audit trail, newest first; and on demand whether its chain holds."""
    service: Service = request.app.state.service
    asked = select(AuditRow).order_by(AuditRow.sequence.desc()).limit(_ROWS)
    with service.ledger.database.read() as session:
        rows = list(session.scalars(asked if before is None else asked.where(AuditRow.sequence < before)))
        head = audit.head(session)
        broken = audit.first_break(session, service.ledger) if check else None
    return page(
        "trail.html", visit=visit, here="trail", rows=rows, head=head, checked=check, broken=broken, before=before
    )


def _batch(service: Service, id: str) -> reading.OneBatch:
    if (found := reading.one_batch(service.ledger, id)) is None:
        raise Failure(404, "no such batch", "There is no such batch.")
    return found


def _download(sequence: int, certificate: str) -> Response:
    headers = {"Content-Disposition": f"attachment; filename=certificate-{sequence}.json"}
    return Response(certificate + "\n", media_type="application/json", headers=headers)


def _margin(service: Service) -> timedelta:
    return timedelta(days=service.settings.batch_margin_days)
