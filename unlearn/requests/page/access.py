"""Who may see a page or send its forms."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import parse_qsl, quote

from fastapi import Depends, Request

from unlearn.requests.api.access import Body, Limiter
from unlearn.requests.api.problems import Failure
from unlearn.requests.callers import Role
from unlearn.requests.page.sessions import Sessions, Visit
from unlearn.requests.service import Service

Fields = Mapping[str, str]


class NotLoggedIn(Exception):
    """The visitor must log in first; `path` is where they wanted to go."""

    def __init__(self, path: str) -> None:
        super().__init__("not logged in")
        self.path = path


def cookie_name(service: Service, name: str) -> str:
    """Where TLS stands before us the browser itself keeps the cookie to this host, this path and TLS (`__Host-`)."""
    return f"__Host-{name}" if service.settings.behind_tls else name


def cookie(request: Request, name: str) -> str:
    """The value of one of our cookies; empty where there is none."""
    return request.cookies.get(cookie_name(request.app.state.service, name), "")


def visiting(request: Request) -> Visit:
    """Who is logged in.

    Raises:
        NotLoggedIn: nobody is.
        Failure: 429 for too many requests of one caller.
    """
    sessions: Sessions = request.app.state.sessions
    limiter: Limiter = request.app.state.limiter
    visit = sessions.recognise(cookie(request, "unlearn"))
    if visit is None:
        query = f"?{request.url.query}" if request.url.query else ""
        raise NotLoggedIn(quote(request.url.path) + query if request.method == "GET" else "")
    limiter.check(f"caller {visit.caller.name}")
    return visit


def _having(*roles: Role) -> Callable[[Visit], Visit]:
    def check(visit: Annotated[Visit, Depends(visiting)]) -> Visit:
        if not visit.caller.roles & set(roles):
            raise Failure(403, "not allowed", f"This needs a key with the role {' or '.join(roles)}.")
        return visit

    return check


Visiting = Annotated[Visit, Depends(visiting)]
Submitting = Annotated[Visit, Depends(_having(Role.SUBMIT))]
Auditing = Annotated[Visit, Depends(_having(Role.OPERATE, Role.AUDIT))]
Operating = Annotated[Visit, Depends(_having(Role.OPERATE))]


def fields(request: Request, body: bytes, token: str) -> Fields:
    """What a form says.

    Raises:
        Failure: 403 where another site sent it, or it was not written for this visitor; 400 where it is no form.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise Failure(403, "not from here", "The form was sent by another site.")
    try:
        found = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise Failure(400, "malformed form", "What was sent is no form of this page.") from None
    if not hmac.compare_digest(found.pop("token", "").encode(), token.encode()):
        raise Failure(403, "form out of date", "Go back, load the page again and repeat what you did.")
    return found


def _sent(request: Request, visit: Visiting, body: Body) -> Fields:
    return fields(request, body, visit.token)


Sent = Annotated[Fields, Depends(_sent)]
