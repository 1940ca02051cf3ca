"""The application: routes, problems, metrics, and an outermost layer that lets no exception quote a body."""

from __future__ import annotations

import logging
import time
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.requests import Request
from fastapi.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unlearn.requests.api import opendsr, operating
from unlearn.requests.api.access import Limiter
from unlearn.requests.api.metrics import Metrics
from unlearn.requests.api.models import ErasureRequest
from unlearn.requests.api.problems import Failure, Fault, Problem, answer_with_problems
from unlearn.requests.service import Service

_log = logging.getLogger(__name__)


def create_app(service: Service) -> FastAPI:
    """The application over a service."""
    from unlearn.requests.page import create_page  # which builds on parts of this package

    app = FastAPI(title="Deletion requests", version="2.0", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.service = service
    app.state.limiter = Limiter(service.settings.requests_per_second)
    app.state.metrics = Metrics(service.ledger)
    app.include_router(opendsr.router)
    app.include_router(operating.router)
    app.add_route("/", lambda _: RedirectResponse("/page/requests"), include_in_schema=False)
    app.mount("/page", create_page(service, app.state.limiter))
    answer_with_problems(app)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_middleware(Outermost, metrics=app.state.metrics, domain=service.settings.domain)
    app.openapi = lambda: _document(app)
    return app


class Outermost:
    """Measures every answer, marks it as not to be stored, and answers what nobody foresaw without quoting it."""

    def __init__(self, app: ASGIApp, metrics: Metrics, domain: str) -> None:
        self._app = app
        self._metrics = metrics
        self._headers = [(b"cache-control", b"no-store"), (b"x-opendsr-processor-domain", domain.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Whoever may ask for something may ask for the head of the answer alone; the server sends no more of it then.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        try:
            await self._app(inner, receive, sending)
        except Exception as error:
            # The text of the exception may quote an identity; its type and place do not.
            _log.error("%s %s: %s", scope["method"], _route(inner), type(error).__name__)
            if status:
                raise
            failure = Failure(500, "internal error", "It is not known what became of the request: repeat it.")
            await failure.response()(scope, receive, sending)
        finally:
            self._metrics.answered(scope["method"], _route(inner), status, time.perf_counter() - started)


def _route(scope: Scope) -> str:
    """The path with names in the place of ids; of whatever leads nowhere, one name for all."""
    path = getattr(scope.get("route"), "path", None)
    return "unknown" if path is None else f"{scope.get('root_path', '')}{path}"


async def _invalid_parameters(_: Request, error: Any) -> Response:
    faults = [Fault(pointer="/" + "/".join(map(str, one["loc"][:2])), detail=one["type"]) for one in error.errors()]
    return Failure(400, "malformed parameters", "See the OpenAPI document.", faults).response()


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the body that is read by hand and the keys."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas: dict[str, Any] = document["components"]["schemas"]
        for model in (ErasureRequest, Problem):
            own = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= own.pop("$defs", {})
            schemas[model.__name__] = own
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None) if _unused_422(operation) else None
                if "401" in operation["responses"]:
                    operation["security"] = [{"key": []}]
        app.openapi_schema = document
    return app.openapi_schema


def _unused_422(operation: dict[str, Any]) -> bool:
    """Whether FastAPI added the answer by itself: this application answers malformed parameters with 400."""
    return "application/json" in operation["responses"].get("422", {}).get("content", {})
