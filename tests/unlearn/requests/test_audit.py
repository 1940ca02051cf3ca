"""Any change to the trail is found by its keyed chain; so are keys, which are in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tests.unlearn.requests.conftest import Clock
from unlearn.requests import audit
from unlearn.requests.callers import Callers, Role
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import ApiKey, AuditRow


@pytest.fixture
def trail(ledger: Ledger, clock: Clock) -> Ledger:
    """Six rows."""
    for k in range(3):
        clock.advance(minutes=1)
        with ledger.database.write() as session:
            entries = [audit.Entry("worker", "step.ended", f"batch:{k}", {"counts": {"rows": k, "é": part}})
                       for part in range(2)]  # fmt: skip
            audit.append(session, ledger, entries)
    return ledger


def broken_at(ledger: Ledger) -> int | None:
    with ledger.database.read() as session:
        return audit.first_break(session, ledger)


def test_the_chain_holds_and_grows(trail: Ledger) -> None:
    assert broken_at(trail) is None
    with trail.database.read() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.sequence)).all()
        assert audit.head(session) == audit.Head(6, rows[-1].digest)
    assert [row.sequence for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.previous for row in rows] == [audit.GENESIS, *(row.digest for row in rows[:-1])]


Tamper = Callable[[Session], object]
TAMPERINGS: dict[str, Tamper] = {
    "detail": lambda s: s.execute(update(AuditRow).where(AuditRow.sequence == 3).values(detail="{}")),
    "actor": lambda s: s.execute(update(AuditRow).where(AuditRow.sequence == 3).values(actor="nobody")),
    "event": lambda s: s.execute(update(AuditRow).where(AuditRow.sequence == 3).values(event="x")),
    "about": lambda s: s.execute(update(AuditRow).where(AuditRow.sequence == 3).values(about="batch:9")),
    "time": lambda s: s.execute(
        update(AuditRow).where(AuditRow.sequence == 3).values(at=s.get_one(AuditRow, 1).at)
    ),
    "digest": lambda s: s.execute(update(AuditRow).where(AuditRow.sequence == 3).values(digest="0" * 64)),
    "digest of other signs": lambda s: s.execute(
        update(AuditRow).where(AuditRow.sequence == 3).values(digest="é" * 64)
    ),
    "deleted": lambda s: s.execute(delete(AuditRow).where(AuditRow.sequence == 3)),
    "first deleted": lambda s: s.execute(delete(AuditRow).where(AuditRow.sequence < 3)),
    "swapped": lambda s: [
        s.execute(update(AuditRow).where(AuditRow.sequence == a).values(sequence=b))
        for a, b in ((3, 99), (4, 3), (99, 4))
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERINGS)
def test_every_change_is_found(trail: Ledger, name: str) -> None:
    with trail.database.write() as session:
        TAMPERINGS[name](session)
    assert broken_at(trail) == (1 if name == "first deleted" else 3)


@pytest.mark.parametrize("field", ["at", "actor", "detail", "previous", "digest"])
@pytest.mark.parametrize("value", [b"\xff", "a moment", 7])
def test_what_no_row_can_hold_is_found_where_it_is(sqlite_ledger: Ledger, field: str, value: object) -> None:
    """SQLite takes anything in any column, and a check that fails instead of telling hides it."""
    for k in range(6):
        with sqlite_ledger.database.write() as session:
            audit.append(session, sqlite_ledger, [audit.Entry("worker", "step.ended", f"batch:{k}", {})])
    with sqlite_ledger.database.write() as session:
        session.connection().exec_driver_sql(f"UPDATE audit SET {field} = ? WHERE sequence = 3", (value,))
    assert broken_at(sqlite_ledger) == 3


def test_a_chain_made_anew_without_the_key_is_found(trail: Ledger) -> None:
    forger = replace(trail, keyring=replace(trail.keyring, audit=bytes(32)))
    with trail.database.write() as session:
        session.execute(delete(AuditRow))
    with trail.database.write() as session:
        audit.append(session, forger, [audit.Entry("worker", "step.ended", "batch:0", {})])
    assert broken_at(forger) is None and broken_at(trail) == 1


def test_a_cut_end_shows_in_the_head_alone(trail: Ledger) -> None:
    with trail.database.read() as session:
        before = audit.head(session)
    with trail.database.write() as session:
        session.execute(delete(AuditRow).where(AuditRow.sequence == 6))
    assert broken_at(trail) is None
    with trail.database.read() as session:
        assert audit.head(session) != before


def test_keys_are_recognised_until_revoked_and_not_kept(ledger: Ledger) -> None:
    callers = Callers(ledger)
    key = callers.create("shop", frozenset({Role.SUBMIT, Role.AUDIT}))
    other = callers.create("desk", frozenset({Role.OPERATE}))
    found = callers.recognise(key)
    assert found is not None and (found.name, found.roles) == ("shop", {Role.SUBMIT, Role.AUDIT})
    for wrong in ("", key[:-1], key + "a", key.replace(found.key_id, "0" * 16), other[:5]):
        assert callers.recognise(wrong) is None
    assert callers.revoke(found.key_id) and not callers.revoke(found.key_id) and not callers.revoke("nothing")
    assert callers.recognise(key) is None and callers.recognise(other) is not None
    listed = callers.list()
    assert {(one.caller, one.revoked_at is None) for one in listed} == {("shop", False), ("desk", True)}
    with ledger.database.read() as session:
        digests = session.scalars(select(ApiKey.digest)).all()
        assert session.scalars(select(AuditRow.event).order_by(AuditRow.sequence)).all() == [
            "key.created", "key.created", "key.revoked",
        ]  # fmt: skip
    assert not any(part in f"{listed} {digests}" for part in (key.split("_", 2)[2], other.split("_", 2)[2]))


@pytest.mark.parametrize(
    ("caller", "roles"), [("", {Role.SUBMIT}), ("x" * 101, {Role.SUBMIT}), ("a\nb", {Role.SUBMIT}), ("x", set())]
)
def test_a_key_needs_a_name_and_a_role(ledger: Ledger, caller: str, roles: set[Role]) -> None:
    with pytest.raises(ValueError, match="`(caller|role)` must"):
        Callers(ledger).create(caller, frozenset(roles))
