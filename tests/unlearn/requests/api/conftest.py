"""The application over a ledger on SQLite and one small target, with a key of every kind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.unlearn.target.example import KIND, Purchases
from tests.unlearn.target.people import ROWS
from unlearn.requests.api import create_app
from unlearn.requests.callers import Role
from unlearn.requests.ledger import Ledger
from unlearn.requests.service import Service
from unlearn.requests.settings import Settings


@dataclass
class Client:
    """Sends as one caller, and knows what is behind."""

    http: TestClient
    service: Service
    shop: Purchases
    key: str

    def headers(self, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {self.key}"} | named

    def create(self, body: Any, key: str | None = "k1") -> Any:
        more = {} if key is None else {"Idempotency_Key": key}
        content = body if isinstance(body, bytes) else None
        return self.http.post(
            "/v2/requests", headers=self.headers(**more), content=content, json=None if content is not None else body
        )

    def get(self, path: str) -> Any:
        return self.http.get(path, headers=self.headers())

    def delete(self, path: str) -> Any:
        return self.http.delete(path, headers=self.headers())

    def having(self, *roles: Role, name: str = "desk") -> Client:
        return Client(self.http, self.service, self.shop, self.service.callers.create(name, frozenset(roles)))


def body(*people: str, **changes: Any) -> dict[str, Any]:
    identities = [{"identity_type": KIND, "identity_value": one, "identity_format": "raw"} for one in people]
    return {
        "regulation": "gdpr",
        "subject_request_id": str(uuid.uuid4()),
        "subject_request_type": "erasure",
        "submitted_time": "2026-01-05T08:00:00Z",
        "subject_identities": identities,
        "api_version": "2.0",
    } | changes


@pytest.fixture
def service(sqlite_ledger: Ledger, tmp_path: Path) -> Service:
    Purchases.create(tmp_path / "shop", ROWS)
    settings = Settings(
        database=str(sqlite_ledger.database.engine.url), keyring=Path("/run/keys/keyring.json"),
        targets={"shop": {}}, domain="forget.example", requests_per_second=1e6,
    )  # fmt: skip
    return Service(settings, sqlite_ledger, {"shop": Purchases(tmp_path / "shop", sqlite_ledger.keyring.pseudonyms)})


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    shop = service.targets["shop"]
    assert isinstance(shop, Purchases)
    with TestClient(create_app(service), raise_server_exceptions=False) as http:
        yield Client(http, service, shop, service.callers.create("shop", frozenset({Role.SUBMIT})))
