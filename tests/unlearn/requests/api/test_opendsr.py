"""OpenDSR over HTTP: create, replay, status, cancel; who may; and no answer that names anybody."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.unlearn.requests.api.conftest import Client, body
from tests.unlearn.requests.conftest import Clock
from tests.unlearn.target.example import KIND
from tests.unlearn.target.people import PEOPLE
from unlearn.requests.api import access, create_app
from unlearn.requests.callers import Role
from unlearn.requests.certificate import defects, disclosed, public_key
from unlearn.requests.queue import Batching
from unlearn.requests.worker import Worker

CANARY = "5eed" * 8


def test_a_request_is_acknowledged_followed_and_served(client: Client, clock: Clock) -> None:
    assert client.shop.bought_by(PEOPLE[0])
    sent = body(PEOPLE[0])
    answer = client.create(sent)
    assert answer.status_code == 201
    assert client.shop.bought_by(PEOPLE[0]) == []  # suppressed by the time of the answer
    said = answer.json()
    assert said["controller_id"] == "shop" and said["subject_request_id"] == sent["subject_request_id"]
    assert (
        said["received_time"] == "2026-01-05T09:00:00Z" and said["expected_completion_time"] == "2026-02-02T09:00:00Z"
    )
    assert json.loads(base64.b64decode(said["encoded_request"])) == sent
    assert answer.headers["X-OpenDSR-Processor-Domain"] == "forget.example"
    assert answer.headers["Cache-Control"] == "no-store"

    where = f"/v2/requests/{sent['subject_request_id']}"
    assert client.get(where).json()["request_status"] == "pending"
    worker = Worker(client.service.ledger, client.service.targets, batching=Batching(window=timedelta(0)))
    assert worker.run_once()
    found = client.get(where).json()
    assert (found["request_status"], found["needs_attention"]) == ("completed", False)
    assert found["targets"] == [{"target": "shop", "step": "done"}]


def test_the_evidence_is_for_whose_request_it_is(client: Client) -> None:
    own, other = body(PEOPLE[0]), body(PEOPLE[1])
    kiosk = client.having(Role.SUBMIT, name="kiosk")
    assert client.create(own).status_code == kiosk.create(other, "k2").status_code == 201
    where = f"/v2/requests/{own['subject_request_id']}/certificate"
    assert client.get(where).status_code == 404 and "completed" in client.get(where).json()["detail"]
    ledger = client.service.ledger
    assert Worker(ledger, client.service.targets, batching=Batching(window=timedelta(0))).run_once()
    document = client.get(where).json()
    assert defects(document, public_key(ledger.keyring)) == []
    assert [one["subject_request_id"] for one in disclosed(document, "request")] == [own["subject_request_id"]]
    assert other["subject_request_id"] not in json.dumps(document) and disclosed(document, "counts") == []
    assert client.having(Role.AUDIT).get(where).json() == document
    assert kiosk.get(where).status_code == 404 and client.http.get(where).status_code == 401


def test_discovery_says_what_can_be_asked_for(client: Client) -> None:
    answer = client.http.get("/v2/discovery")
    assert answer.status_code == 200
    assert answer.json() == {
        "api_version": "2.0",
        "supported_identities": [{"identity_type": KIND, "identity_format": "raw"}],
        "supported_subject_request_types": ["erasure"],
    }


def test_idempotency(client: Client, clock: Clock) -> None:
    sent = body(PEOPLE[0])
    first = client.create(sent)
    clock.advance(hours=1)
    again = client.create(sent)
    assert (again.status_code, again.json()) == (201, first.json())
    without = problem(client.create(sent, key=None), 400, "malformed parameters")
    assert without["errors"] == [{"pointer": "/header/idempotency-key", "detail": "missing"}]
    assert problem(client.create(body(PEOPLE[1])), 422, "idempotency key reused")
    assert problem(client.create(sent, key="k2"), 409, "request already received")
    assert problem(client.create(sent, key=""), 400, "malformed parameters")
    assert problem(client.create(sent, key="k" * 256), 400, "malformed parameters")
    assert client.having(Role.SUBMIT).create(body(PEOPLE[1])).status_code == 201  # keys are the caller's own


def problem(answer: Any, status: int, title: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert (said["title"], said["status"]) == (title, status) and said["detail"]
    return said


@pytest.mark.parametrize(
    ("change", "pointer", "kind"),
    [
        ({"regulation": CANARY}, "/regulation", "literal_error"),
        ({"subject_request_id": CANARY}, "/subject_request_id", "string_pattern_mismatch"),
        ({"subject_request_id": None}, "/subject_request_id", "string_type"),
        ({"subject_request_type": "access"}, "/subject_request_type", "literal_error"),
        ({"submitted_time": CANARY}, "/submitted_time", "datetime_parsing"),
        ({"submitted_time": 1_767_600_000}, "/submitted_time", "datetime_type"),  # of seconds, or of what else?
        ({"submitted_time": "2026-01-05T08:00:00"}, "/submitted_time", "timezone_aware"),
        ({"submitted_time": "0001-01-01T00:00:00+14:00"}, "/submitted_time", "greater_than_equal"),
        ({"subject_identities": []}, "/subject_identities", "too_short"),
        ({"subject_identities": [CANARY]}, "/subject_identities/0", "model_type"),
        ({"subject_identities": {CANARY: 1}}, "/subject_identities", "list_type"),
        ({"status_callback_urls": [f"http://{CANARY}.example"]}, "/status_callback_urls/0", "url_scheme"),
        ({"status_callback_urls": [f"https://{CANARY}@a.example"]}, "/status_callback_urls/0", "value_error"),
        ({"status_callback_urls": [f"https://:{CANARY}@a.example"]}, "/status_callback_urls/0", "value_error"),
        ({"extensions": [CANARY]}, "/extensions", "dict_type"),
    ],
)
def test_a_malformed_body_is_refused_without_quoting_it(
    client: Client, change: dict[str, Any], pointer: str, kind: str
) -> None:
    answer = client.create(body(PEOPLE[0]) | change)
    assert {"pointer": pointer, "detail": kind} in problem(answer, 400, "malformed request")["errors"]
    assert CANARY not in answer.text and client.shop.bought_by(PEOPLE[0])


@pytest.mark.parametrize(
    "identity",
    [
        {"identity_type": KIND, "identity_value": CANARY},
        {"identity_type": KIND, "identity_value": CANARY, "identity_format": "sha256"},
        {"identity_type": CANARY.upper(), "identity_value": "x", "identity_format": "raw"},
        {"identity_type": "email", "identity_value": CANARY, "identity_format": "raw"},
        {"identity_type": KIND, "identity_value": CANARY * 20, "identity_format": "raw"},
        {"identity_type": KIND, "identity_value": {CANARY: 1}, "identity_format": "raw"},
    ],
)
def test_an_identity_that_cannot_be_used_is_refused_without_quoting_it(
    client: Client, identity: dict[str, Any]
) -> None:
    answer = client.create(body(subject_identities=[identity]))
    assert answer.status_code == 400 and CANARY not in answer.text.lower()


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f'["{KIND}","{CANARY}",9]',
        f'["{KIND}","{CANARY}"]',
        f'["email","{CANARY}","book"]',
        f'["interaction","{CANARY}","book"]',
        f'["{KIND}","{CANARY}","\\ud800"]',
    ],
)
def test_an_interaction_that_no_target_would_find_is_not_acknowledged(client: Client, value: str) -> None:
    client.shop.identity_types = frozenset({KIND, "interaction"})
    identity = {"identity_type": "interaction", "identity_value": value, "identity_format": "raw"}
    answer = client.create(body(PEOPLE[0], "x") | {"subject_identities": [identity]})
    faults = problem(answer, 400, "unsupported identity")["errors"]
    assert faults == [{"pointer": "/subject_identities/0/identity_value", "detail": "unsupported_interaction"}]
    assert CANARY not in answer.text
    identity["identity_value"] = f'["{KIND}","{PEOPLE[0]}","book"]'
    assert client.create(body() | {"subject_identities": [identity]}).status_code == 201


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"regulation": "\\ud800"}', b"[" * 50_000, b"null"]
)
def test_what_is_no_json_object_is_refused(client: Client, content: bytes) -> None:
    assert problem(client.create(content), 400, "malformed request")


def test_a_body_above_the_limit_is_refused(client: Client) -> None:
    limit = client.service.settings.body_limit_bytes
    padded = json.dumps(body(PEOPLE[0])).encode()
    assert client.create(padded + b" " * (limit - len(padded))).status_code == 201
    assert problem(client.create(padded + b" " * (limit - len(padded) + 1), key="k2"), 413, "body too large")


def test_a_body_that_does_not_come_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_BODY_SECONDS", 0.1)

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.03)

    async def send(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(create_app(client.service))
        async with asyncio.timeout(5), httpx.AsyncClient(transport=transport, base_url="http://forget") as http:
            return await http.post(path, headers=client.headers(Idempotency_Key="k1"), content=dripping())

    answer, stranger = asyncio.run(send("/v2/requests")), asyncio.run(send("/page/login"))
    assert problem(answer, 408, "body too slow") and stranger.status_code == 408
    assert answer.headers["Connection"] == stranger.headers["Connection"] == "close"


def test_cancelling(client: Client) -> None:
    sent = body(PEOPLE[0])
    client.create(sent)
    where = f"/v2/requests/{sent['subject_request_id']}"
    other = client.having(Role.SUBMIT)
    assert problem(other.delete(where), 404, "no such request") and problem(other.get(where), 404, "no such request")
    answer = client.delete(where)
    assert (answer.status_code, answer.json()["request_status"]) == (202, "cancelled")
    assert client.shop.bought_by(PEOPLE[0])
    assert client.delete(where).status_code == 202
    assert client.get(where).json()["request_status"] == "cancelled"
    assert problem(client.get("/v2/requests/not-an-id"), 400, "malformed parameters")

    served = body(PEOPLE[1])
    client.create(served, key="k2")
    Worker(client.service.ledger, client.service.targets, batching=Batching(window=timedelta(0))).run_once()
    assert problem(client.delete(f"/v2/requests/{served['subject_request_id']}"), 409, "request not pending")


def test_keys_and_roles(client: Client) -> None:
    sent = body(PEOPLE[0])
    client.create(sent)
    where = f"/v2/requests/{sent['subject_request_id']}"
    for wrong in ({}, {"Authorization": "Bearer nothing"}, {"Authorization": f"Basic {client.key}"}):
        answer = client.http.get(where, headers=wrong)
        assert problem(answer, 401, "not authenticated") and answer.headers["WWW-Authenticate"] == "Bearer"
    may = {
        ("POST", "/v2/requests"): {Role.SUBMIT},
        ("GET", where): set(Role),
        ("DELETE", where): {Role.SUBMIT},
        ("GET", "/requests"): {Role.OPERATE, Role.AUDIT},
        ("GET", "/audit"): {Role.OPERATE, Role.AUDIT},
        ("GET", "/audit/chain"): {Role.OPERATE, Role.AUDIT},
        ("POST", f"/batches/{'0' * 32}/retry"): {Role.OPERATE},
    }
    for role in Role:
        asking = client.having(role, name=role)
        for (method, path), allowed in may.items():
            status = asking.http.request(method, path, headers=asking.headers()).status_code
            assert (status == 403) == (role not in allowed), (role, method, path, status)
    operator = client.having(Role.OPERATE)
    assert operator.get(where).json()["controller_id"] == "shop"  # of every caller
    (key_id,) = [one.id for one in client.service.callers.list() if one.caller == "shop"]
    client.service.callers.revoke(key_id)
    assert problem(client.get(where), 401, "not authenticated")


def test_who_asks_too_often_has_to_wait(client: Client) -> None:
    limiter = client.http.app.state.limiter  # pyright: ignore[reportAttributeAccessIssue]
    now = [0.0]
    limiter.rate, limiter.now = 2.0, lambda: now[0]
    limiter._buckets.clear()
    path = "/v2/requests/00000000-0000-4000-8000-000000000000"
    assert [client.get(path).status_code for _ in range(5)] == [404] * 4 + [429]
    answer = client.get(path)
    assert problem(answer, 429, "too many requests") and answer.headers["Retry-After"] == "1"
    assert client.having(Role.SUBMIT).get(path).status_code == 404  # others do not
    now[0] += 0.5
    assert [client.get(path).status_code for _ in range(2)] == [404, 429]
    guesses = [client.http.get(path, headers={"Authorization": f"Bearer {k}"}).status_code for k in range(6)]
    assert guesses == [401] * 4 + [429] * 2


def test_what_nobody_foresaw_is_answered_and_logged_without_quoting_it(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)

    def broken(subjects: Any) -> None:
        raise OSError(f"cannot suppress {[subject.value for subject in subjects]}")

    monkeypatch.setattr(client.shop, "suppress", broken)
    answer = client.create(body(CANARY))
    assert problem(answer, 500, "internal error")
    assert CANARY not in answer.text + caplog.text and "OSError" in caplog.text
    monkeypatch.undo()
    assert client.create(body(CANARY)).status_code == 201  # nothing is left of it


def test_many_clients_at_once(client: Client) -> None:
    bodies = [body(f"person {k}") for k in range(24)]
    sent = [(one, f"key {k}") for k, one in enumerate(bodies)] * 2
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: client.create(one[0], key=one[1]), sent))
    assert {answer.status_code for answer in answers} <= {201, 409}
    for one in bodies:
        assert client.get(f"/v2/requests/{one['subject_request_id']}").status_code == 200
