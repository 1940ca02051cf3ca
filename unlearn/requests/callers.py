"""Keys to the API: made once, shown once, kept as a digest; each is looked up at most once a second."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select, update

from unlearn.requests import audit
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import ApiKey

_PREFIX = "ulk"
_REMEMBERED = 1.0  # seconds: how long a process that knows a key may not notice that it was revoked


class Role(StrEnum):
    """What a key may do: make requests and follow its own; run the service; read what happened."""

    SUBMIT = "submit"
    OPERATE = "operate"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who presented a key, and what they may do. The name is the controller's: keys change, it stays."""

    name: str
    key_id: str
    roles: frozenset[Role]

    @property
    def scope(self) -> str | None:
        """Whose requests they may see: None for everybody's."""
        return None if self.roles & {Role.OPERATE, Role.AUDIT} else self.name


@dataclass(frozen=True, slots=True)
class ListedKey:
    """What is known of a key afterwards: never the key."""

    id: str
    caller: str
    roles: tuple[Role, ...]
    created_at: datetime
    revoked_at: datetime | None


class Callers:
    """The keys in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, tuple[Caller, float]] = {}

    def create(self, caller: str, roles: frozenset[Role]) -> str:
        """A new key, shown here and never again: 256 random bits, so that a plain digest of it cannot be reversed.

        Raises:
            ValueError: a name that is blank, long or not printable, or no role.
        """
        problems = misnamed(caller)
        problems += [] if roles else [f"`role` must be given: {', '.join(Role)}"]
        if problems:
            raise ValueError("\n".join(problems))
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        with self._ledger.database.write() as session:
            session.add(
                ApiKey(
                    id=key_id,
                    caller=caller,
                    roles=sorted(roles),
                    digest=_digest(f"{_PREFIX}_{key_id}_{secret}"),
                    created_at=self._ledger.now(),
                )
            )
            detail = {"caller": caller, "roles": sorted(roles)}
            audit.append(session, self._ledger, [audit.Entry("operator", "key.created", f"key:{key_id}", detail)])
        return f"{_PREFIX}_{key_id}_{secret}"

    def remembered(self, key: str) -> Caller | None:
        """Whose key it was a moment ago, without asking the database; None where it must be asked."""
        caller, until = self._known.get(_digest(key), (None, 0.0))
        return caller if time.monotonic() < until else None

    def recognise(self, key: str) -> Caller | None:
        """Whose key it is; None for one that never was or was revoked."""
        # Looked up by digest: how long that takes says nothing about the key.
        digest, now = _digest(key), time.monotonic()
        with self._ledger.database.read() as session:
            found = session.scalar(select(ApiKey).where(ApiKey.digest == digest))
        if found is None or found.revoked_at is not None:
            self._known.pop(digest, None)
            return None
        caller = Caller(found.caller, found.id, frozenset(map(Role, found.roles)))
        self._known[digest] = (caller, now + _REMEMBERED)
        return caller

    def revoke(self, key_id: str) -> bool:
        """Nobody can use the key, a second from now at the latest; False where there is none or it was revoked."""
        with self._ledger.database.write() as session:
            alive = (ApiKey.id == key_id) & ApiKey.revoked_at.is_(None)
            changed = session.execute(
                update(ApiKey).where(alive).values(revoked_at=self._ledger.now()).returning(ApiKey.id)
            )
            if changed.first() is None:
                return False
            audit.append(session, self._ledger, [audit.Entry("operator", "key.revoked", f"key:{key_id}", {})])
        self._known.clear()
        return True

    def list(self) -> list[ListedKey]:
        """All keys, oldest first."""
        with self._ledger.database.read() as session:
            rows = session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)).all()
        return [
            ListedKey(row.id, row.caller, tuple(map(Role, row.roles)), row.created_at, row.revoked_at) for row in rows
        ]


def misnamed(caller: str) -> list[str]:
    """What is wrong with the name of a caller, which goes into the trail and the certificates."""
    fine = caller.strip() and caller.isprintable() and len(caller) <= 100
    return [] if fine else [f"`caller` must have 1 to 100 printable characters (got {len(caller)})"]


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
