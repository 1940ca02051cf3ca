"""What every part of the service works on: the database, the keys and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from unlearn.forget import UnknownIds
from unlearn.requests.database import Database
from unlearn.requests.keyring import Keyring


class Refused(ValueError):
    """The ledger is not in a state where that can be done; `title` says why in a few words that never change."""

    def __init__(self, title: str, detail: str) -> None:
        super().__init__(detail)
        self.title = title


class NoSuchRequest(UnknownIds):
    """That caller made no such request."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Ledger:
    """Passed to everything that reads or changes the ledger."""

    database: Database
    keyring: Keyring
    now: Callable[[], datetime] = field(default=_now)
