"""The bodies of OpenDSR 2.0, as far as this service speaks it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, HttpUrl, UrlConstraints

from unlearn.target import Subject

UUID_V4 = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
VERSION = "2.0"


def _without_password(url: HttpUrl) -> HttpUrl:
    if url.username or url.password:
        raise ValueError("must carry no user and no password")
    return url


Callback = Annotated[
    HttpUrl, UrlConstraints(max_length=2_000, allowed_schemes=["https"]), AfterValidator(_without_password)
]
Moment = Annotated[
    AwareDatetime,
    Field(strict=True, ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
]


class Identity(BaseModel):
    """By what a person is known."""

    identity_type: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,50}$")]
    identity_value: Annotated[str, Field(min_length=1, max_length=512)]
    identity_format: Literal["raw"]


class ErasureRequest(BaseModel):
    """A request to forget a person, by any number of their identities. Further members are ignored."""

    regulation: Literal["gdpr", "ccpa"]
    subject_request_id: Annotated[str, Field(pattern=UUID_V4)]
    subject_request_type: Literal["erasure"]
    submitted_time: Moment
    subject_identities: Annotated[list[Identity], Field(min_length=1, max_length=100)]
    api_version: Annotated[str, Field(max_length=10)] | None = None
    status_callback_urls: Annotated[list[Callback], Field(max_length=10)] = []
    extensions: dict[str, Any] = {}

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The identities, as targets know them."""
        return tuple(Subject(one.identity_type, one.identity_value) for one in self.subject_identities)


FIELDS = frozenset(ErasureRequest.model_fields) | frozenset(Identity.model_fields)


class Received(BaseModel):
    """The answer to a request, and to every repetition of it. The caller must not keep `encoded_request`."""

    controller_id: str
    expected_completion_time: datetime
    received_time: datetime
    encoded_request: str
    subject_request_id: str


class Cancelled(BaseModel):
    """The answer to a cancellation."""

    controller_id: str
    subject_request_id: str
    request_status: Literal["cancelled"]
    api_version: str


class TargetState(BaseModel):
    """How far one target is."""

    target: str
    step: str


class RequestStatus(BaseModel):
    """Where a request stands; what OpenDSR has no word for is beside it."""

    controller_id: str
    expected_completion_time: datetime
    subject_request_id: str
    request_status: Literal["pending", "in_progress", "completed", "cancelled"]
    api_version: str
    state: Literal["pending", "on_hold", "in_progress", "completed", "cancelled"]
    needs_attention: bool
    targets: list[TargetState]


class SupportedIdentity(BaseModel):
    """A type of identity by which some target knows people."""

    identity_type: str
    identity_format: Literal["raw"]


class Discovery(BaseModel):
    """What this service can be asked for."""

    api_version: str
    supported_identities: list[SupportedIdentity]
    supported_subject_request_types: list[Literal["erasure"]]
