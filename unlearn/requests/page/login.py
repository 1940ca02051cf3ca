"""Logging in with a key, and out."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from unlearn.requests.api.access import Body, Limiter
from unlearn.requests.api.problems import Failure
from unlearn.requests.page.access import Sent, cookie, cookie_name, fields
from unlearn.requests.page.rendering import page
from unlearn.requests.page.sessions import LASTS, Sessions
from unlearn.requests.service import Service

router = APIRouter()

HOME = "/page/requests"
_WITHIN = re.compile(r"/page/[a-z0-9_./?&=%+~-]*", re.IGNORECASE)


@router.get("/login")
def login_form(request: Request, to: Annotated[str, Query(max_length=2_000)] = "") -> Response:
    """Ask for a key."""
    return _form(request, to)


@router.post("/login")
def login(request: Request, body: Body) -> Response:
    """Open a session for a key. The key itself is neither kept nor logged."""
    service: Service = request.app.state.service
    sessions: Sessions = request.app.state.sessions
    limiter: Limiter = request.app.state.limiter
    before = cookie(request, "unlearn-login")
    if not sessions.genuine(before):
        raise Failure(403, "form out of date", "Load the page again, with cookies allowed, and repeat what you did.")
    sent = fields(request, body, sessions.token(before))
    key, to = sent.get("key", "").strip(), sent.get("to", "")
    caller = service.callers.recognise(key) if key.isascii() else None
    if caller is None:
        limiter.check(f"address {request.client.host if request.client else ''}")
        return _form(request, to, wrong=True)
    limiter.check(f"caller {caller.name}")
    answer = RedirectResponse(to if _WITHIN.fullmatch(to) else HOME, 303)
    answer.delete_cookie(cookie_name(service, "unlearn-login"), path="/", secure=service.settings.behind_tls)
    _set(request, answer, "unlearn", sessions.open(caller))
    return answer


@router.post("/logout")
def logout(request: Request, _: Sent) -> Response:
    """End the session, here and for whoever has a copy of the cookie."""
    service: Service = request.app.state.service
    request.app.state.sessions.close(cookie(request, "unlearn"))
    answer = RedirectResponse("/page/login", 303)
    answer.delete_cookie(cookie_name(service, "unlearn"), path="/", secure=service.settings.behind_tls)
    return answer


def _form(request: Request, to: str, *, wrong: bool = False) -> Response:
    sessions: Sessions = request.app.state.sessions
    stranger = cookie(request, "unlearn-login")
    stranger = stranger if sessions.genuine(stranger) else sessions.stranger()
    answer = page("login.html", status=401 if wrong else 200, token=sessions.token(stranger), to=to, wrong=wrong)
    _set(request, answer, "unlearn-login", stranger)
    return answer


def _set(request: Request, answer: Response, name: str, value: str) -> None:
    service: Service = request.app.state.service
    answer.set_cookie(
        cookie_name(service, name), value, max_age=int(LASTS.total_seconds()), path="/", httponly=True,
        samesite="strict", secure=service.settings.behind_tls,
    )  # fmt: skip
