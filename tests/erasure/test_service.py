"""Forgotten means gone: after a request to the service is complete, no file of it holds the person or their row.

Searched are the ledger with its log of changes, the workspace, what lies beside it (block list, seals, staged versions)
and the program's log, for ids and times of 128 and 64 random bits, for the parameters and the readout of the person's
row, and for the encrypted payload, which whoever has the key could open. All of them are found before.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import load_file
from sqlalchemy import create_engine, select, text

from recsys.plugin import target
from tests.oracles.traces import holders
from tests.recsys.plugin.workspaces import KIND, data, stored
from tests.unlearn.requests.api.conftest import body
from tests.unlearn.requests.conftest import (
    empty_postgresql,
    keyring,
    postgresql,
    sqlite_template,
    sqlite_url,
    url,
)
from tests.unlearn.requests.house import strict_certificate
from unlearn.requests.api import create_app
from unlearn.requests.callers import Role
from unlearn.requests.certificate import disclosed
from unlearn.requests.database import Database
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching
from unlearn.requests.service import Service
from unlearn.requests.settings import Settings
from unlearn.requests.states import RequestState
from unlearn.requests.status import counts, status
from unlearn.requests.tables import Request
from unlearn.requests.worker import Worker
from unlearn.target import Subject

__all__ = ["empty_postgresql", "keyring", "postgresql", "sqlite_template", "sqlite_url", "url"]  # fixtures
ERASED, CANCELLED = (3, 17, 20), 30


def user(number: int) -> str:
    return str(data().users.ids[number])


@pytest.fixture
def house(url: str, keyring: Keyring, tmp_path: Path) -> Iterator[Service]:
    """The service over a recommender, which logs everything that anybody has to say."""
    shutil.copytree(stored("whole_data"), tmp_path / "house" / "model")
    log = logging.FileHandler(tmp_path / "house" / "log", encoding="utf-8")
    log.addFilter(lambda record: record.name != "httpx")  # a client's
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    settings = Settings(
        database=url, keyring=Path("/run/keys/keyring.json"), targets={"recsys": {}}, requests_per_second=1e6
    )
    recommender = target({"workspace": str(tmp_path / "house" / "model")}, keyring.pseudonyms)
    service = Service(settings, Ledger(Database(url), keyring), {"recsys": recommender})
    yield service
    service.close()
    root.removeHandler(log)
    root.setLevel(level)
    log.close()


def ask(http: TestClient, service: Service) -> None:
    """Requests of every kind about these people: good, repeated, malformed, refused, taken back."""
    key = service.callers.create("shop", frozenset(Role))

    def send(content: Any, name: str, **more: str) -> int:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": name} | more
        return http.post("/v2/requests", headers=headers, json=content).status_code

    for number in (*ERASED, CANCELLED):
        asked = body(user(number))
        assert [send(asked, f"key of {user(number)}") for _ in range(2)] == [201, 201]
        assert send(body(user(number)), f"key of {user(number)}") == 422
        assert send(asked | {"regulation": user(number)}, "another") == 400
        assert send(asked | {user(number): user(number)}, "another") in (400, 409)
        assert http.get(f"/v2/requests/{user(number)}", headers={"Authorization": f"Bearer {key}"}).status_code == 400
        if number == CANCELLED:
            headers = {"Authorization": f"Bearer {key}"}
            assert http.delete(f"/v2/requests/{asked['subject_request_id']}", headers=headers).status_code == 202


def stores(service: Service) -> list[Path]:
    """Every folder that the service writes to."""
    house: Any = service.targets["recsys"]
    if service.ledger.database.path is not None:
        return [house.workspace.folder.parent, service.ledger.database.path.parent]
    with service.ledger.database.engine.connect() as connection:
        return [house.workspace.folder.parent, Path(connection.execute(text("SHOW data_directory")).scalar_one())]


def finds(service: Service, needle: bytes) -> set[str]:
    """Files that hold these bytes; PostgreSQL's log of changes is told apart."""
    files = (path for store in stores(service) for path in store.rglob("*") if path.is_file())
    return {
        "log of changes" if path.parent.name == "pg_wal" else path.name for path in files if needle in path.read_bytes()
    }


def rows(folder: Path) -> dict[str, bytes]:
    """What the model holds of each of the erased, as bytes: parameters, and what it serves with."""
    tensors = load_file(folder / "model" / "model" / "model.safetensors")
    return {
        f"{name} of {number}": tensors[name][number].tobytes()
        for name in ("params.table", "readout.users")
        for number in ERASED
    }


def compacted(service: Service) -> None:
    """What an operator does on PostgreSQL, which leaves deleted content in its pages until they are rewritten."""
    if not service.ledger.database.sqlite:
        engine = create_engine(service.ledger.database.engine.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in ("VACUUM FULL", "CHECKPOINT"):
                connection.execute(text(statement))
        engine.dispose()


def test_everybody_can_leave(house: Service) -> None:
    """The bound on scores that are all zero is infinite; ledger and certificate say so in JSON."""
    made = house.ask([Subject(KIND, str(one)) for one in data().users.ids])
    Worker(house.ledger, house.targets, batching=Batching(window=timedelta(0))).run_once()
    assert status(house.ledger, None, made.subject_request_id).state is RequestState.COMPLETED
    found = strict_certificate(house.ledger)
    assert found["targets"]["recsys"]["verification"]["passed"]
    (figures,) = disclosed(found, "figures")
    assert {one["name"]: one["value"] for one in figures["recsys"]["checks"]}["score_bound"] == "Infinity"


def test_nothing_is_left_of_whom_it_was_about(house: Service, tmp_path: Path) -> None:
    def search(canaries: list[Any]) -> set[str]:
        return {name for store in stores(house) for name in holders(store, canaries)}

    whole = data()
    assert whole.time is not None
    times = [float(one) for number in ERASED for one in whole.time[whole.indptr[number] : whole.indptr[number + 1]]]
    vectors = rows(tmp_path / "house")
    with TestClient(create_app(house), raise_server_exceptions=False) as http:
        ask(http, house)
        with house.ledger.database.read() as session:
            payloads = [one for one in session.scalars(select(Request.payload)) if one is not None]
        assert len(payloads) == len(ERASED)
        assert all(search([user(number)]) for number in ERASED) and all(search([time]) for time in times)
        assert all("model.safetensors" in finds(house, vector) for vector in vectors.values())
        assert all(finds(house, payload) for payload in payloads)

        for limit in (2, 10):  # a batch that is unlearned, and one that is retrained for
            Worker(house.ledger, house.targets, batching=Batching(window=timedelta(0), limit=limit)).run_once()
        http.get("/metrics")
    assert counts(house.ledger)[RequestState.COMPLETED] == len(ERASED)
    compacted(house)
    assert search([user(number) for number in ERASED]) == set() and search(times) == set()
    assert {name: found for name, vector in vectors.items() if (found := finds(house, vector))} == {}
    assert {name for payload in payloads for name in finds(house, payload)} <= {"log of changes"}
    assert search([user(CANCELLED)])  # who took it back is there as before
