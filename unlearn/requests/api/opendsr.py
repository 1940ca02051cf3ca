"""The four calls of OpenDSR, discovery, create, status and cancel, and one for the evidence."""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import ValidationError

from unlearn.requests.api.access import Body, Following, Submitting
from unlearn.requests.api.models import (
    FIELDS,
    UUID_V4,
    VERSION,
    Cancelled,
    Discovery,
    ErasureRequest,
    Received,
    RequestStatus,
    SupportedIdentity,
    TargetState,
)
from unlearn.requests.api.problems import Failure, Fault, documented, malformed
from unlearn.requests.certificate import certificate_of_request
from unlearn.requests.intake import Submission
from unlearn.requests.service import Service
from unlearn.requests.states import REPORTED
from unlearn.requests.status import status

router = APIRouter(prefix="/v2", tags=["OpenDSR"])

RequestId = Annotated[str, Path(pattern=UUID_V4, description="The subject_request_id.")]
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErasureRequest"}}},
    }
}


@router.get("/discovery")
def discovery(request: Request) -> Discovery:
    """What this service can be asked for."""
    service: Service = request.app.state.service
    known = [SupportedIdentity(identity_type=kind, identity_format="raw") for kind in service.identity_types]
    return Discovery(api_version=VERSION, supported_identities=known, supported_subject_request_types=["erasure"])


@router.post(
    "/requests",
    status_code=201,
    response_model=Received,
    openapi_extra=_BODY,
    responses=documented(400, 401, 403, 408, 409, 413, 422, 429),
)
async def create(
    request: Request,
    caller: Submitting,
    body: Body,
    idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
) -> Response:
    """Ask that a person be forgotten. When this answers 201, no target answers to or about them any more.

    Repeat it with the same Idempotency-Key until it answers: the request is taken in once, and answered alike.
    """
    service: Service = request.app.state.service
    asked = _parsed(service, body)
    submission = Submission(
        caller=caller.name,
        idempotency_key=idempotency_key,
        subject_request_id=asked.subject_request_id,
        fingerprint=service.ledger.keyring.fingerprint(body),
        regulation=asked.regulation,
        subjects=asked.subjects,
        submitted_at=asked.submitted_time,
        callbacks=tuple(map(str, asked.status_callback_urls)),
    )
    # No thread waits for the commit: however many requests do, one transaction takes all that have arrived.
    receipt = await asyncio.wrap_future(service.intake.enqueue(submission))
    request.app.state.metrics.taken_in(receipt)
    answer = Received(
        controller_id=caller.name,
        expected_completion_time=receipt.due_at,
        received_time=receipt.received_at,
        encoded_request=base64.b64encode(body).decode(),
        subject_request_id=receipt.subject_request_id,
    )
    return Response(answer.model_dump_json(), 201, media_type="application/json")


@router.get("/requests/{subject_request_id}", responses=documented(400, 401, 403, 404, 429))
def read(request: Request, caller: Following, subject_request_id: RequestId) -> RequestStatus:
    """Where a request stands: the caller's own, or anybody's for an operator or auditor."""
    service: Service = request.app.state.service
    found = status(service.ledger, caller.scope, subject_request_id)
    return RequestStatus(
        controller_id=found.caller,
        expected_completion_time=found.due_at,
        subject_request_id=found.subject_request_id,
        request_status=cast("Any", REPORTED[found.state]),
        api_version=VERSION,
        state=cast("Any", str(found.state)),
        needs_attention=found.needs_attention,
        targets=[TargetState(target=name, step=step) for name, step in found.targets.items()],
    )


@router.get("/requests/{subject_request_id}/certificate", responses=documented(400, 401, 403, 404, 409, 429))
def read_certificate_of_request(request: Request, caller: Following, subject_request_id: RequestId) -> dict[str, Any]:
    """What was done for a request, signed; it discloses nothing of another one."""
    service: Service = request.app.state.service
    if (found := certificate_of_request(service.ledger, caller.scope, subject_request_id)) is None:
        raise Failure(404, "no such certificate", "There is one as soon as the request is completed.")
    return found


@router.delete("/requests/{subject_request_id}", status_code=202, responses=documented(400, 401, 403, 404, 409, 429))
def cancel(request: Request, caller: Submitting, subject_request_id: RequestId) -> Cancelled:
    """Take back a request that is still pending; the person is answered to again."""
    service: Service = request.app.state.service
    service.cancelling.cancel(caller.name, subject_request_id)
    return Cancelled(
        controller_id=caller.name,
        subject_request_id=subject_request_id,
        request_status="cancelled",
        api_version=VERSION,
    )


def _parsed(service: Service, body: bytes) -> ErasureRequest:
    try:
        asked = ErasureRequest.model_validate_json(body)
    except ValidationError as error:
        raise malformed(error, FIELDS) from None
    wrong = {
        f"/subject_identities/{place}": one.type for place, one in enumerate(asked.subjects) if not service.knows(one)
    }
    unknown = [
        Fault(pointer=f"{where}/identity_value", detail="unsupported_interaction")
        if kind in service.identity_types  # what is named by it cannot be read
        else Fault(pointer=f"{where}/identity_type", detail="unsupported_identity_type")
        for where, kind in wrong.items()
    ]
    if unknown:
        raise Failure(
            400,
            "unsupported identity",
            "Nothing here knows people by that type, or an interaction of theirs as it is written; see /v2/discovery.",
            unknown,
        )
    return asked
