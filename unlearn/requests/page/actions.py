"""What a visitor can do: take a request back, retry, lift a hold. Each ends at the page it was done on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from unlearn.requests.api.opendsr import RequestId
from unlearn.requests.api.operating import BatchId
from unlearn.requests.holds import Holds
from unlearn.requests.page.access import Operating, Sent, Submitting
from unlearn.requests.service import Service
from unlearn.requests.tasks import retry

router = APIRouter()

Pseudonym = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@router.post("/requests/{subject_request_id}/cancel")
def cancel(request: Request, visit: Submitting, _: Sent, subject_request_id: RequestId) -> Response:
    """Take back one's own request, as the API lets its caller do."""
    service: Service = request.app.state.service
    service.cancelling.cancel(visit.caller.name, subject_request_id)
    return RedirectResponse(f"/page/requests/{subject_request_id}?done=cancelled", 303)


@router.post("/batches/{batch}/retry")
def retry_batch(request: Request, visit: Operating, _: Sent, batch: BatchId) -> Response:
    """Retrain once more where a retrain failed its verification."""
    service: Service = request.app.state.service
    retry(service.ledger, batch, f"key:{visit.caller.key_id}")
    return RedirectResponse(f"/page/batches/{batch}?done=retried", 303)


@router.post("/holds/{pseudonym}/lift")
def lift(request: Request, visit: Operating, _: Sent, pseudonym: Pseudonym) -> Response:
    """Allow deletion again; what waited goes on."""
    service: Service = request.app.state.service
    Holds(service.ledger).lift(pseudonym, f"key:{visit.caller.key_id}")
    return RedirectResponse("/page/holds?done=lifted", 303)
