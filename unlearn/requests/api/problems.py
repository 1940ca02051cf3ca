"""Problem documents (RFC 9457). They are made of texts of ours alone: nothing that came in is ever quoted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from unlearn.requests.cancelling import TooLate
from unlearn.requests.intake import AlreadyReceived, InFlight, KeyReused
from unlearn.requests.ledger import NoSuchRequest, Refused

MEDIA_TYPE = "application/problem+json"
_STATUS: Mapping[type[Refused], int] = {KeyReused: 422, InFlight: 409, AlreadyReceived: 409, TooLate: 409, Refused: 409}


class Fault(BaseModel):
    """One thing that is wrong with a body: where, as a JSON pointer, and what kind of fault it is."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """What the bodies of all errors look like."""

    title: str
    status: int
    detail: str
    errors: list[Fault] = []


class Failure(Exception):
    """A problem document as an exception."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        faults: Iterable[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.problem = Problem(title=title, status=status, detail=detail, errors=list(faults))
        self.headers = dict(headers or {})

    def response(self) -> Response:
        content = self.problem.model_dump(exclude_defaults=True)
        return Response(json.dumps(content), self.problem.status, self.headers, media_type=MEDIA_TYPE)


def malformed(error: ValidationError, fields: frozenset[str]) -> Failure:
    """A body that is not what the OpenAPI document says; `fields` are the names that may be repeated in a pointer."""
    faults = [
        Fault(
            # A pointer into what came in may name an id that somebody took for a field; a message may quote one.
            pointer="".join(f"/{part if isinstance(part, int) or part in fields else '?'}" for part in one["loc"]),
            detail=one["type"],
        )
        for one in error.errors(include_input=False, include_context=False, include_url=False)
    ]
    return Failure(400, "malformed request", "The body is not what the OpenAPI document asks for.", faults)


def answer_with_problems(app: FastAPI) -> None:
    """Turn every exception that a caller may cause into a problem document."""

    @app.exception_handler(Failure)
    async def failure(_: Request, error: Failure) -> Response:  # pyright: ignore[reportUnusedFunction]
        return error.response()

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:  # pyright: ignore[reportUnusedFunction]
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        return Failure(status, error.title, str(error)).response()

    @app.exception_handler(NoSuchRequest)
    async def unknown(_: Request, error: NoSuchRequest) -> Response:  # pyright: ignore[reportUnusedFunction]
        return Failure(404, "no such request", str(error)).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        titles = {404: "not found", 405: "method not allowed"}
        title, headers = titles.get(error.status_code, "refused"), dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(app, request.scope))
        return Failure(error.status_code, title, "See the OpenAPI document.", headers=headers).response()


def _allowed(app: FastAPI, scope: Scope) -> list[str]:
    """What may be done at the path: by all of its routes, each of which knows of its own methods alone."""

    def may(method: str) -> bool:
        return any(route.matches({**scope, "method": method})[0] == Match.FULL for route in app.routes)

    methods = list(filter(may, ("DELETE", "GET", "PATCH", "POST", "PUT")))
    return [*methods, "HEAD"] if "GET" in methods else methods


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These errors, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": content} for status in statuses}


_DESCRIPTIONS = {
    400: "The body, a parameter or the Idempotency-Key is missing or malformed.",
    401: "There is no key, or nobody has it.",
    403: "The key may not do this.",
    404: "There is no such thing.",
    408: "The body does not come in time.",
    409: "The state does not allow it.",
    413: "The body is too large.",
    422: "The Idempotency-Key was used with another body.",
    429: "Too many requests; see Retry-After.",
    503: "Not ready.",
}
