"""The audit trail: what happened, in rows that each carry a keyed digest of themselves and of the row before.

Changing, swapping, adding or taking out a row breaks the chain for anybody who has not the audit key. Cutting off its
end does not: the certificates, which leave the house, carry the head of the chain at their time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, insert, select, text
from sqlalchemy.orm import Session

from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import AuditRow

GENESIS = "0" * 64
_LOCK = 7281002
_CHAINED = ("sequence", "at", "actor", "event", "about", "detail", "previous")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `about` names a request, a batch or a key; nothing in it names a person."""

    actor: str
    event: str
    about: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of the chain."""

    sequence: int
    digest: str


def append(session: Session, ledger: Ledger, entries: Iterable[Entry]) -> None:
    """Add rows at the end of the chain, in the transaction of what they tell about."""
    lock(session, ledger)
    last = head(session)
    sequence, previous, rows = last.sequence, last.digest, list[dict[str, Any]]()
    for entry in entries:
        sequence += 1
        row: dict[str, Any] = {
            "sequence": sequence,
            "at": ledger.now(),
            "actor": entry.actor,
            "event": entry.event,
            "about": entry.about,
            "detail": json.dumps(entry.detail, sort_keys=True, separators=(",", ":")),
            "previous": previous,
        }
        row["digest"] = previous = _digest(row, ledger.keyring.audit)
        rows.append(row)
    if rows:
        session.execute(insert(AuditRow), rows)


def lock(session: Session, ledger: Ledger) -> None:
    """Have every other transaction that would add rows wait for the end of this one; may be asked for again."""
    if not ledger.database.sqlite:  # where SQLite's own lock keeps writers apart already
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def head(session: Session) -> Head:
    """Where the chain ends."""
    last = session.execute(
        select(AuditRow.sequence, AuditRow.digest).order_by(AuditRow.sequence.desc()).limit(1)
    ).first()
    return Head(0, GENESIS) if last is None else Head(last.sequence, last.digest)


def fits(session: Session, ledger: Ledger) -> bool:
    """Whether the trail was kept with this audit key, by its first row or by its last one.

    Either will do: whoever changes one, which `first_break` finds, must not keep the service from starting by it.
    """
    table = AuditRow.__table__
    found = [_kept(session, ledger, order) for order in (table.c.sequence.asc(), table.c.sequence.desc())]
    return True in found or found == [None, None]


def _kept(session: Session, ledger: Ledger, order: ColumnElement[Any]) -> bool | None:
    """Whether the first row in that order has its digest; None where there is none."""
    try:
        row = session.execute(select(AuditRow.__table__).order_by(order).limit(1)).mappings().first()
        return None if row is None else row["digest"] == _digest(row, ledger.keyring.audit)
    except (TypeError, ValueError):  # no row of ours, as below
        return False


def first_break(session: Session, ledger: Ledger) -> int | None:
    """The first sequence number at which the chain does not hold, None where all of it does."""
    expected, previous = 1, GENESIS
    table = AuditRow.__table__  # whose rows are read one by one: what is in one that cannot be is not told of another
    streamed = {"stream_results": True, "max_row_buffer": 1_000}
    with session.execute(select(table).order_by(table.c.sequence), execution_options=streamed) as rows:
        try:
            for row in rows.mappings():
                sound = row["sequence"] == expected and row["previous"] == previous
                if not sound or row["digest"] != _digest(row, ledger.keyring.audit):
                    return expected
                expected, previous = expected + 1, row["digest"]
        except (TypeError, ValueError):  # no row of ours: SQLite holds whatever it is given in any column
            return expected
    return None


def _digest(row: Mapping[Any, Any], key: bytes) -> str:
    content = [row[name] if name != "at" else row[name].isoformat() for name in _CHAINED]
    return hmac.new(key, json.dumps(content).encode(), hashlib.sha256).hexdigest()
