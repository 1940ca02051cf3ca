"""The page as an application of its own: its routes, its errors, and the headers that every answer carries."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unlearn.requests.api.access import Limiter
from unlearn.requests.api.problems import Failure
from unlearn.requests.ledger import NoSuchRequest, Refused
from unlearn.requests.page import actions, login, views
from unlearn.requests.page.access import NotLoggedIn
from unlearn.requests.page.rendering import SCRIPT, STYLE, page
from unlearn.requests.page.sessions import Sessions
from unlearn.requests.service import Service

_log = logging.getLogger(__name__)


def create_page(service: Service, limiter: Limiter) -> FastAPI:
    """The page over a service; it shares the limits of the API."""
    app = FastAPI(openapi_url=None)
    app.state.service = service
    app.state.limiter = limiter
    app.state.sessions = Sessions(service.ledger)
    for part in (login, views, actions):
        app.include_router(part.router)
    _answer_with_pages(app)
    app.add_middleware(Sheltered, strict_transport=service.settings.behind_tls)
    return app


class Sheltered:
    """Tells the browser to trust nothing but what is in the answer, and answers what nobody foresaw."""

    def __init__(self, app: ASGIApp, strict_transport: bool) -> None:
        self._app = app
        headers = dict(_HEADERS)
        if strict_transport:
            headers["Strict-Transport-Security"] = "max-age=63072000"
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            # Its text may quote anything; its type does not.
            _log.error("page: %s", type(error).__name__)
            if started:
                raise
            await _failed(Failure(500, "internal error", "The log says more."))(scope, receive, sending)


def _answer_with_pages(app: FastAPI) -> None:
    @app.exception_handler(NotLoggedIn)
    def stranger(_: Request, error: NotLoggedIn) -> Response:  # pyright: ignore[reportUnusedFunction]
        query = f"?{urlencode({'to': error.path})}" if error.path else ""
        return RedirectResponse(f"/page/login{query}", 303)

    @app.exception_handler(Failure)
    def failure(_: Request, error: Failure) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _failed(error)

    @app.exception_handler(Refused)
    def refused(_: Request, error: Refused) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _failed(Failure(409, error.title, str(error)))

    @app.exception_handler(NoSuchRequest)
    def unknown(_: Request, error: NoSuchRequest) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _failed(Failure(404, "no such request", str(error)))

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, __: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _failed(Failure(400, "malformed address", "The address asks for something that there is not."))

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _failed(Failure(error.status_code, "not found", "There is no such page.", headers=error.headers))


def _failed(error: Failure) -> Response:
    answer = page("failure.html", status=error.problem.status, problem=error.problem)
    answer.headers.update(error.headers)
    return answer


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_source(STYLE)}; script-src {_source(SCRIPT)}; img-src data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
