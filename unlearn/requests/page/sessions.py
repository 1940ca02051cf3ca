"""Who is logged in: a random secret in a cookie, signed, that stands for a key until it expires or either ends."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select

from unlearn.requests import audit
from unlearn.requests.callers import Caller, Role
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import ApiKey, SessionRow

LASTS = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is logged in; `token` shows that a form was written for them."""

    caller: Caller
    token: str


class Sessions:
    """The sessions in the ledger, each by a digest: who reads the database can open none."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._key = hmac.new(ledger.keyring.signing, b"page", hashlib.sha256).digest()

    def stranger(self) -> str:
        """A cookie of somebody who is not logged in: what the form for that is tied to."""
        secret = secrets.token_urlsafe(32)
        return f"{secret}.{self._tag(b'cookie', secret)}"

    def open(self, caller: Caller) -> str:
        """A cookie that stands for this caller's key; old sessions are forgotten by the way."""
        cookie, now = self.stranger(), self._ledger.now()
        with self._ledger.database.write() as session:
            session.execute(delete(SessionRow).where(~_alive(now)))
            session.add(SessionRow(digest=_digest(cookie), key_id=caller.key_id, expires_at=now + LASTS))
            key = f"key:{caller.key_id}"
            audit.append(session, self._ledger, [audit.Entry(key, "session.opened", key, {})])
        return cookie

    def recognise(self, cookie: str) -> Visit | None:
        """Whose cookie it is; None for a forged or expired one, and where the session or its key has ended."""
        if not self.genuine(cookie):
            return None
        alive = (SessionRow.digest == _digest(cookie)) & _alive(self._ledger.now())
        with self._ledger.database.read() as session:
            key = session.scalar(
                select(ApiKey)
                .join(SessionRow, SessionRow.key_id == ApiKey.id)
                .where(alive, ApiKey.revoked_at.is_(None))
            )
        if key is None:
            return None
        return Visit(Caller(key.caller, key.id, frozenset(map(Role, key.roles))), self.token(cookie))

    def close(self, cookie: str) -> None:
        """Nobody can use the cookie from now on, whoever has a copy."""
        with self._ledger.database.write() as session:
            session.execute(delete(SessionRow).where(SessionRow.digest == _digest(cookie)))

    def genuine(self, cookie: str) -> bool:
        """Whether a cookie was made here."""
        secret, _, tag = cookie.partition(".")
        return hmac.compare_digest(tag.encode(), self._tag(b"cookie", secret).encode())

    def token(self, cookie: str) -> str:
        """What a form carries that was written for the owner of this cookie."""
        return self._tag(b"form", cookie)

    def _tag(self, purpose: bytes, text: str) -> str:
        return hmac.new(self._key, purpose + b"\0" + text.encode(), hashlib.sha256).hexdigest()


def _alive(now: datetime) -> ColumnElement[bool]:
    """Which sessions last; what ends so long after any does was opened by a clock that has been put right since."""
    return (SessionRow.expires_at > now) & (SessionRow.expires_at <= now + 2 * LASTS)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
