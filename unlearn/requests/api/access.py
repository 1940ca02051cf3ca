"""Who may come in: keys, roles, and how often and how much at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool

from unlearn.requests.api.problems import Failure
from unlearn.requests.callers import Caller, Role
from unlearn.requests.service import Service

_MOST_NAMES = 10_000
_BODY_SECONDS = 10.0  # for all of a body: whoever drips would keep a connection, and a server that is to stop, for ever


@dataclass
class Limiter:
    """A token bucket for every name: `rate` a second, and twice that at once."""

    rate: float
    now: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, name: str) -> float:
        """Take a token; returns for how many seconds there is none, 0 where one was taken."""
        most = max(1.0, 2 * self.rate)
        with self._lock:
            now = self.now()
            tokens, since = self._buckets.get(name, (most, now))
            tokens = min(most, tokens + (now - since) * self.rate)
            if len(self._buckets) >= _MOST_NAMES and name not in self._buckets:
                self._buckets.clear()  # names that nobody can know: better generous than out of memory
            self._buckets[name] = (tokens - 1 if tokens >= 1 else tokens, now)
            return 0.0 if tokens >= 1 else (1 - tokens) / self.rate

    def check(self, name: str) -> None:
        """Raises: Failure 429 where the bucket is empty."""
        if seconds := self.wait(name):
            retry = {"Retry-After": str(int(seconds) + 1)}
            raise Failure(429, "too many requests", "Slow down; see Retry-After.", headers=retry)


async def authenticated(
    request: Request, authorization: Annotated[str | None, Header(include_in_schema=False)] = None
) -> Caller:
    """Whose key it is.

    Raises:
        Failure: 401 without a key that somebody has, 429 for too many requests of one caller, or of one address that
            guesses.
    """
    service: Service = request.app.state.service
    limiter: Limiter = request.app.state.limiter
    scheme, _, key = (authorization or "").partition(" ")
    caller = None
    if scheme.lower() == "bearer" and key.isascii():
        known = service.callers.remembered(key)
        caller = known or await run_in_threadpool(service.callers.recognise, key)
    if caller is None:
        limiter.check(f"address {request.client.host if request.client else ''}")
        raise Failure(
            401,
            "not authenticated",
            "Send a key as `Authorization: Bearer KEY`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    limiter.check(f"caller {caller.name}")
    return caller


def _having(*roles: Role) -> Callable[[Caller], Awaitable[Caller]]:
    async def check(caller: Annotated[Caller, Depends(authenticated)]) -> Caller:
        if not caller.roles & set(roles):
            raise Failure(403, "not allowed", f"The key needs the role {' or '.join(roles)}.")
        return caller

    return check


Submitting = Annotated[Caller, Depends(_having(Role.SUBMIT))]
Following = Annotated[Caller, Depends(_having(Role.SUBMIT, Role.OPERATE, Role.AUDIT))]
Operating = Annotated[Caller, Depends(_having(Role.OPERATE))]
Auditing = Annotated[Caller, Depends(_having(Role.OPERATE, Role.AUDIT))]


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        Failure: 413 as soon as there is more of it than the settings allow, 408 where it does not come in time.
    """
    service: Service = request.app.state.service
    parts, size = list[bytes](), 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > service.settings.body_limit_bytes:
                    raise Failure(413, "body too large", "The body must be smaller.")
                parts.append(part)
    except TimeoutError:
        closing = {"Connection": "close"}
        raise Failure(408, "body too slow", "The body must come faster: repeat the request.", headers=closing) from None
    return b"".join(parts)


Body = Annotated[bytes, Depends(read_body)]
