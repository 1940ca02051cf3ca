"""The ledger's database: SQLite in a file of its own, or PostgreSQL; either only where a commit survives a crash."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from unlearn.requests.keyring import Keyring

_log = logging.getLogger(__name__)
_MIGRATIONS = Path(__file__).parent / "migrations"
_BETWEEN = 0.01  # seconds between two attempts to empty SQLite's log
_SQLITE = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "secure_delete": "ON",  # what is deleted is overwritten, in the pages that stay
}


class UnsafeDatabase(RuntimeError):
    """The database may lose what it has acknowledged, or its tables are not of this version."""


class UnreachableDatabase(RuntimeError):
    """The database does not answer, or is none, or its disk is full."""


class Database:
    """Transactions that read, and transactions that write; the latter one at a time on SQLite.

    Args:
        url: of SQLAlchemy, `sqlite:///ledger.db` or `postgresql+psycopg://...`.

    Raises:
        ValueError: another database, or SQLite in memory, which processes cannot share.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if not self.sqlite and parsed.get_backend_name() != "postgresql":
            raise ValueError(f"`database` must be of SQLite or PostgreSQL (got {parsed.get_backend_name()})")
        if self.sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError("`database` must be a file, which the server and the worker share (got one in memory)")
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.path = Path(parsed.database) if self.sqlite and parsed.database else None
        # What a statement is given may name somebody, and errors end in logs.
        self.engine: Engine = create_engine(url, pool_pre_ping=not self.sqlite, hide_parameters=True)
        if self.sqlite:
            event.listen(self.engine, "connect", _prepare)
            event.listen(self.engine, "begin", _begin)
        self._writing = self.engine.execution_options(writing=True)

    @contextmanager
    def read(self) -> Generator[Session]:
        """A transaction that sees one state and changes nothing."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Generator[Session]:
        """A transaction that is committed at the end, or not at all. On SQLite nobody else writes meanwhile."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def reach(self) -> None:
        """Connect, to find out whether that is possible. A file that is made for it is its owner's alone to read.

        Raises:
            UnreachableDatabase: it is not; the password is not in the message.
        """
        if self.path is not None:
            with suppress(OSError):  # which the database says more of
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        try:
            self.engine.connect().close()
        except DBAPIError as error:
            raise self.told(error) from None

    def told(self, error: DBAPIError) -> UnreachableDatabase:
        """What the database says by that error, in one line without the statement, and without the password."""
        reason = (str(error.orig).splitlines() or [type(error.orig).__name__])[0]
        if password := self.engine.url.password:
            reason = reason.replace(password, "***")
        return UnreachableDatabase(f"`database` must be one that answers: {reason}")

    def migrate(self, keyring: Keyring, revision: str = "head") -> None:
        """Bring the tables to a revision; a second process waits for the first.

        Args:
            keyring: of the ledger, for what an older version kept readable.

        Raises:
            UnsafeDatabase: they are of a revision that this version does not know.
        """
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self._writing.begin() as connection:
            if not self.sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(7281001)"))
            config.attributes |= {"connection": connection, "keyring": keyring}
            before = MigrationContext.configure(connection).get_current_revision()
            try:
                (command.downgrade if revision == "base" else command.upgrade)(config, revision)
            except CommandError:
                raise UnsafeDatabase(
                    "the ledger's tables are of a later version of this package: install that"
                ) from None
            changed = MigrationContext.configure(connection).get_current_revision() != before
        if changed and self.sqlite:
            # What a row held is overwritten, but not every copy that is left where rows were moved between pages.
            with closing(self.engine.raw_connection()) as connection:
                connection.cursor().execute("VACUUM")
            self.scrub()

    def check(self) -> None:
        """Refuse a database that may lose a commit or takes none, or whose tables are of another version.

        Raises:
            UnsafeDatabase: naming everything that is wrong.
        """
        with self.engine.connect() as connection:
            wrong = _weaknesses_sqlite(connection) if self.sqlite else _weaknesses_postgresql(connection)
            revision = MigrationContext.configure(connection).get_current_revision()
        expected = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
        if revision != expected:
            wrong.append(f"its tables must be of revision {expected} (got {revision}): run `unlearn worker` or `serve`")
        if wrong:
            raise UnsafeDatabase("\n  - ".join(["this database cannot hold the ledger:", *wrong]))

    def scrub(self) -> None:
        """Overwrite what deleted rows left behind in SQLite's log.

        Where others use it for all of a minute, it is left to the next call, and a warning tells.
        """
        if self.sqlite:
            with self.engine.connect() as connection:
                until = time.monotonic() + connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() / 1_000
                # It waits for readers; where somebody else writes the log back, it says that it is busy at once.
                while busy := connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]:
                    if time.monotonic() >= until:
                        break
                    time.sleep(_BETWEEN)
            if busy:  # which SQLite says, and raises nothing
                _log.warning("database: others use it too long; deleted rows stay in its log until the next erasure")

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def _prepare(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not where the driver guesses one is needed
    connection.execute("PRAGMA busy_timeout = 60000")
    for name, value in _SQLITE.items():
        connection.execute(f"PRAGMA {name} = {value}")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot be retried by SQLite: it takes the lock at once.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _weaknesses_sqlite(connection: Connection) -> list[str]:
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in expected}
    wrong = [
        f"`{name}` must be {value} (got {found[name]})" for name, value in expected.items() if found[name] != value
    ]
    # Whoever has it open reads on where the disk has become read-only, and learns of that by writing alone.
    file = Path(connection.engine.url.database or "")
    return wrong + [f"`{one}` must be writable" for one in (file, file.parent) if not os.access(one, os.W_OK)]


def _weaknesses_postgresql(connection: Connection) -> list[str]:
    # Read-only is a standby, and what some hosts make of a database whose disk is nearly full.
    good = {"fsync": ("on",), "synchronous_commit": ("on", "remote_apply"), "transaction_read_only": ("off",)}
    found = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in good}
    return [f"`{name}` must be {good[name][0]} (got {found[name]})" for name in good if found[name] not in good[name]]
