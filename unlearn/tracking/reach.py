"""Whether a store can be used, found out in seconds: MLflow by itself tries for minutes, and says nothing meanwhile."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

from unlearn.outputs import obstacle

# One attempt instead of eight, and seconds for an answer instead of minutes; libpq would wait for ever.
_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "PGCONNECT_TIMEOUT": "10"}
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
# In the URL of a database a password goes as far as the @, slashes included, and may be an argument of the driver.
_PASSWORD = re.compile(r"^((?:(https?)|(?!https?:)[^:/]+)://[^:/@]*):((?(2)[^/@]*|[^@]*))(?=@)")
_ARGUMENT = re.compile(r"(?<=[?&])(?:password|passwd)=([^&]*)&?")


class StoreUnavailable(ValueError):
    """The store cannot be reached or used."""

    def __init__(self, location: object, why: str) -> None:
        told = f"{location} cannot be used as an MLflow store ({why})"
        for password in filter(None, _passwords(str(location))):
            told = told.replace(password, "***")
        super().__init__(f"{told}; name a SQLite file that can be written, or the URI of a server that runs")


def without_password(uri: str) -> str:
    """A tracking URI without its password: drivers find it in the environment or in ~/.pgpass."""
    return _ARGUMENT.sub("", _PASSWORD.sub(r"\1", uri)).rstrip("?&")


def _passwords(uri: str) -> list[str]:
    return [found[3] for found in _PASSWORD.finditer(uri)] + _ARGUMENT.findall(uri)


@contextmanager
def once() -> Generator[None]:
    """What is asked of a store meanwhile is asked once, unless the environment says how often."""
    added = {name: value for name, value in _ONCE.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def told(location: object, *, status: int = 400) -> Generator[None]:
    """What MLflow raises becomes one error; what it logs of its database is that once more, by a traceback.

    Args:
        status: the least HTTP status of what becomes it; below 500 a store answers, and what was asked was wrong.

    Raises:
        StoreUnavailable: it raised something of that status.
    """
    from mlflow.exceptions import MlflowException

    def nothing(_: logging.LogRecord) -> bool:
        return False

    (logger := logging.getLogger("mlflow.store.db.utils")).addFilter(nothing)
    try:
        yield
    except MlflowException as error:
        if error.get_http_status_code() < status:
            raise
        raise StoreUnavailable(location, _why(error)) from error
    finally:
        logger.removeFilter(nothing)


@contextmanager
def told_of_database(location: object) -> Generator[None]:
    """What MLflow lets through of its database becomes that error, too: where tables are made, and rows destroyed.

    Raises:
        StoreUnavailable: SQLAlchemy raised something.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise StoreUnavailable(location, _why(error)) from error


def database_kind(uri: str) -> str | None:
    """Which kind of database a tracking URI names; None where it is that of a server, or of none of MLflow's."""
    scheme = urlparse(uri).scheme.partition("+")[0]
    return scheme if scheme in _DATABASES else None


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, whatever its driver is and is told; None of every other store."""
    return Path(uri.partition(":///")[2].partition("?")[0]) if database_kind(uri) == "sqlite" else None


def require_database(location: object, uri: str) -> None:
    """Connect to a database once; a SQLite file that is there must be free to be written to. Other URIs are none.

    Raises:
        StoreUnavailable: there is no driver, nobody answers, or the file is none of SQLite's or held by somebody.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        if (file := sqlite_file(uri)) is not None:
            if file.exists():
                with closing(sqlite3.connect(file, isolation_level=None)) as database:
                    database.execute("BEGIN IMMEDIATE")
                    database.execute("ROLLBACK")
        elif database_kind(uri) is not None:
            engine = create_engine(uri)
            with closing(engine.connect()):
                pass
            engine.dispose()
    except (ImportError, SQLAlchemyError, sqlite3.Error) as error:
        raise StoreUnavailable(location, _why(error)) from error


def require_artifacts(location: object, artifacts: str) -> None:
    """Refuse artifacts in a folder of this machine that cannot be written to; others are the server's to judge.

    Raises:
        StoreUnavailable: with the folder.
    """
    place = urlparse(artifacts)
    folder = Path(unquote(place.path))
    if place.scheme in ("", "file") and (why := obstacle(folder / "probe")) is not None:
        raise StoreUnavailable(location, f"its artifacts lie in {folder}: {why}")


def _why(error: BaseException) -> str:
    """The words of the network, the disk or SQLite where they are at the bottom of it, else the error's first line."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and (below.strerror or isinstance(below, TimeoutError)):
            return (below.strerror or str(below)).lower()
        if isinstance(below, sqlite3.Error):
            return str(below)
        below = below.__cause__ or below.__context__
    return str(error).strip().partition("\n")[0]
