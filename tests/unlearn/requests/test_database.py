"""The tables are what the migrations make, on both databases, and a database that forgets commits is refused."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, inspect, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.submissions import submission
from unlearn.requests.database import Database, UnreachableDatabase, UnsafeDatabase
from unlearn.requests.intake import Intake, KeyReused
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import ApiKey, Base, Callback, Request


def test_migrations_make_what_the_code_expects_and_can_be_taken_back(url: str, keyring: Keyring) -> None:
    database = Database(url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.migrate(keyring, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    with pytest.raises(UnsafeDatabase, match="revision"):
        database.check()
    database.migrate(keyring)
    database.migrate(keyring)  # a second process finds nothing to do
    database.check()
    database.close()


def test_a_later_versions_tables_are_left_alone(sqlite_url: str, keyring: Keyring) -> None:
    database = Database(sqlite_url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnsafeDatabase, match="later version"):
        database.migrate(keyring)
    database.close()


def test_keys_that_an_older_version_kept_readable_are_known_after_the_upgrade_and_nowhere_to_be_read(
    url: str, keyring: Keyring, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(url)
    database.migrate(keyring, "base")
    database.migrate(keyring, "0002")
    intake = Intake(Ledger(database, keyring, clock), lambda _: None, due_within=timedelta(days=28))
    told = [f"https://shop.example/of/person{k}@mail.example" for k in range(2)]
    asked = [
        submission(
            "ada",
            idempotency_key=f"erase person{k}@mail.example",
            caller=f"shop {k % 2}",
            callbacks=() if k > 1 else tuple(told),
        )
        for k in range(300)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(Keyring, "idempotency", lambda _, caller, key: key)
        patch.setattr(Keyring, "seal_url", lambda _, url: url)
        for one in asked:
            intake.submit(one)
    with database.write() as session:  # a closed one, as the first version left it
        told_to = select(Request.id).where(Request.subject_request_id == asked[1].subject_request_id)
        session.execute(update(Request).where(Request.id.in_(told_to)).values(closed_at=clock()))
    if database.sqlite:  # as SQLite now and then leaves a copy of a row that it moved between pages
        with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as unsafe:
            unsafe.executescript("PRAGMA secure_delete = OFF; CREATE TABLE moved (urls)")
            unsafe.execute("INSERT INTO moved VALUES (?)", [" ".join(10_000 * told)])
            unsafe.execute("DROP TABLE moved")
    database.migrate(keyring)
    assert all(intake.submit(one).replayed for one in asked)
    with pytest.raises(KeyReused):
        intake.submit(submission("eve", idempotency_key=asked[7].idempotency_key, caller="shop 1"))
    with database.read() as session:
        kept = session.scalars(select(Request.idempotency_key)).all()
        urls, none = session.scalars(select(Request.callbacks).order_by(Request.id)).all()[:2]
        owed = session.scalars(select(Callback.url)).all()
    assert sorted(map(keyring.open_url, [*urls, *owed])) == sorted(3 * told) and none == []
    assert len(set(kept)) == len(kept) == len(asked) and all(len(key) == 64 for key in kept)
    if database.sqlite:
        assert not any(b"mail.example" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    intake.close()
    database.close()


def test_an_error_does_not_quote_what_a_statement_was_given(sqlite_ledger: Ledger) -> None:
    """For errors end in logs."""
    with pytest.raises(IntegrityError) as raised, sqlite_ledger.database.write() as session:
        session.execute(insert(Callback).values(id="k", request_id=None, url="https://shop.example/of/ada"))
    assert "outbox" in str(raised.value) and "of/ada" not in str(raised.value)


def test_every_constraint_has_a_name() -> None:
    assert [c for table in Base.metadata.tables.values() for c in table.constraints if not c.name] == []


def test_commits_are_durable(url: str) -> None:
    database = Database(url)
    database.check()
    with database.engine.connect() as connection:
        if database.sqlite:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
        else:
            assert connection.exec_driver_sql("SHOW fsync").scalar() == "on"
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    database.close()


def test_a_database_that_may_lose_commits_is_refused(postgresql: str) -> None:
    weak = Database(f"{postgresql}&options=-csynchronous_commit%3Doff")
    with pytest.raises(UnsafeDatabase, match="`synchronous_commit` must be on \\(got off\\)"):
        weak.check()
    weak.close()


def test_a_database_that_takes_no_commit_is_refused(postgresql: str) -> None:
    """A standby, or one that its host has made read-only, because the disk is nearly full."""
    standby = Database(f"{postgresql}&options=-cdefault_transaction_read_only%3Don")
    with pytest.raises(UnsafeDatabase, match="`transaction_read_only` must be off \\(got on\\)"):
        standby.check()
    standby.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_what_processes_cannot_share_or_nobody_tested_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="`database` must be"):
        Database(url)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, and long enough not to be taken for an empty one", "utf-8")
    for url, reason in (
        ("postgresql+psycopg://user:hunter2@127.0.0.1:1/ledger", "Connection refused"),
        ("postgresql+psycopg://user:hunter2@127.0.0.1:1/ledger?sslmode=hunter2", r"\*\*\*"),
        (f"sqlite:///{tmp_path}/text", "file is not a database"),
        (f"sqlite:///{tmp_path}", "unable to open"),
    ):
        database = Database(url)
        with pytest.raises(UnreachableDatabase, match=f"`database` must be one that answers: .*{reason}") as refused:
            database.reach()
        assert "hunter2" not in str(refused.value) and "\n" not in str(refused.value)
        database.close()


def test_moments_keep_their_zone(ledger: Ledger) -> None:
    local = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    key = ApiKey(id="k", caller="c", roles=["audit"], digest="d", created_at=local)
    with ledger.database.write() as session:
        session.add(key)
    with ledger.database.read() as session:
        found = session.scalars(select(ApiKey)).one().created_at
    assert found == local and found.tzinfo is UTC
    with pytest.raises(StatementError, match="time zone"), ledger.database.write() as session:
        session.add(ApiKey(id="l", caller="c", roles=[], digest="e", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_nothing_of_a_failed_transaction_stays(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.database.write() as session:
            session.add(ApiKey(id="k", caller="c", roles=[], digest="d", created_at=ledger.now()))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with ledger.database.read() as session:
        assert session.scalars(select(ApiKey)).all() == []


def test_deleted_content_is_overwritten(sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database, canary = Database(sqlite_url), "c0ffee" * 8
    with database.write() as session:
        session.add(ApiKey(id="k", caller=canary, roles=[], digest="d", created_at=datetime.now(UTC)))
    with database.write() as session:
        session.delete(session.get_one(ApiKey, "k"))
    with database.engine.connect() as reader:
        reader.exec_driver_sql("SELECT 1 FROM api_keys").all()
        with database.engine.connect() as impatient:
            impatient.exec_driver_sql("PRAGMA busy_timeout = 10")  # of the connection that the pool hands out next
        database.scrub()
        assert "stay in its log" in caplog.text
    database.scrub()
    database.close()
    assert not any(canary.encode() in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_two_that_overwrite_at_once_wait_for_each_other(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(sqlite_url)
    with database.write() as session:
        session.add(ApiKey(id="k", caller="c", roles=[], digest="d", created_at=datetime.now(UTC)))
    with ThreadPoolExecutor(2) as side_by_side:
        with database.engine.connect() as reader:
            reader.exec_driver_sql("SELECT 1 FROM api_keys").all()
            both = [side_by_side.submit(database.scrub) for _ in range(2)]
            assert not wait(both, timeout=0.5).done
        assert len(wait(both, timeout=30).done) == 2
    assert "stay in its log" not in caplog.text
    assert [path.stat().st_size for path in tmp_path.glob("*-wal")] == [0]
    database.close()


def test_a_ledger_that_is_made_is_its_owners_alone(tmp_path: Path, keyring: Keyring) -> None:
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    database.reach()
    database.migrate(keyring)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("ledger.db*")} == {0o600}
    database.close()
    (tmp_path / "ledger.db").chmod(0o640)  # whoever shares it with a group may
    database.reach()
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o640
    database.close()
