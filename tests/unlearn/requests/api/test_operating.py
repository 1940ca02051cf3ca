"""What operators and auditors see, what Prometheus is told, and the OpenAPI document."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.unlearn.requests.api.conftest import Client, body
from tests.unlearn.requests.conftest import Clock
from tests.unlearn.target.people import PEOPLE
from unlearn.requests.callers import Role
from unlearn.requests.queue import Batching
from unlearn.requests.tables import AuditRow
from unlearn.requests.worker import Worker

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "openapi.json"


@pytest.fixture
def operator(client: Client) -> Client:
    """With three requests behind, of which one is complete."""
    for k in range(3):
        assert client.create(
            body(PEOPLE[k], subject_request_id=f"00000000-0000-4000-8000-00000000000{k}"), f"k{k}"
        ).is_success
        if k == 0:
            Worker(client.service.ledger, client.service.targets, batching=Batching(window=timedelta(0))).run_once()
    return client.having(Role.OPERATE, Role.AUDIT)


def test_requests_are_listed_in_pages(operator: Client) -> None:
    first = operator.get("/requests?limit=2").json()
    rest = operator.get(f"/requests?after={first[-1]['number']}").json()
    assert [one["state"] for one in [*first, *rest]] == ["completed", "pending", "pending"]
    assert [one["number"] for one in operator.get("/requests?state=pending").json()] == [2, 3]
    assert operator.get("/requests?state=nonsense").status_code == 400


def test_the_trail_can_be_read_and_its_chain_checked(operator: Client) -> None:
    rows = operator.get("/audit?limit=1000").json()
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["event"] for row in rows} >= {"key.created", "request.received", "request.claim", "step.ended"}
    chain = operator.get("/audit/chain").json()
    assert chain == {"holds": True, "first_break": None, "sequence": len(rows), "digest": rows[-1]["digest"]}
    assert not any(person in json.dumps(rows) for person in PEOPLE)
    with operator.service.ledger.database.write() as session:
        session.execute(update(AuditRow).where(AuditRow.sequence == 2).values(actor="nobody"))
    chain = operator.get("/audit/chain").json()
    assert (chain["holds"], chain["first_break"]) == (False, 2)


def test_a_batch_that_needs_nothing_cannot_be_retried(operator: Client) -> None:
    batch = operator.get("/requests").json()[0]["batch"]
    answer = operator.http.post(f"/batches/{batch}/retry", headers=operator.headers())
    assert (answer.status_code, answer.json()["title"]) == (409, "nothing to retry")


def test_metrics(operator: Client, clock: Clock) -> None:
    clock.advance(minutes=90)
    operator.http.get("/v2/requests/unheard/of")
    answer = operator.http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for expected in (
        'unlearn_requests{state="pending"} 2.0',
        'unlearn_requests{state="completed"} 1.0',
        'unlearn_requests_received_total{kind="accepted"} 3.0',
        'unlearn_http_seconds_count{method="POST",route="/v2/requests",status="201"} 3.0',
        'unlearn_http_seconds_count{method="GET",route="unknown",status="404"} 1.0',
        "unlearn_tasks_attention 0.0",
        "unlearn_ledger_up 1.0",
        "unlearn_seconds_to_first_due 2.4138e+06",  # 28 days less the minutes that have passed
        "unlearn_seconds_waited 5400.0",
    ):
        assert expected in lines, answer.text
    assert not any(name in answer.text for name in (*PEOPLE, "00000000-0000"))


def test_methods_that_callers_make_up_are_counted_as_one(operator: Client) -> None:
    for number in range(20):
        operator.http.request(f"MADE{number}", "/nowhere")
    told = operator.http.get("/metrics").text
    assert 'unlearn_http_seconds_count{method="other",route="unknown",status="404"} 20.0' in told and "MADE" not in told


def test_it_is_alive_without_a_database_and_not_ready(client: Client) -> None:
    assert client.http.get("/readyz").json() == client.http.get("/healthz").json() == {"status": "ok"}
    path = client.service.ledger.database.path
    assert path is not None
    client.service.ledger.database.close()
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
    assert client.http.get("/readyz").status_code == 503
    assert client.http.get("/healthz").status_code == 200
    told = client.http.get("/metrics")  # what the process counts is told all the same
    assert told.status_code == 200 and "\nunlearn_ledger_up 0.0\n" in told.text
    assert 'route="/readyz",status="503"} 1.0' in told.text and "unlearn_batches_open" not in told.text


def test_it_is_not_ready_where_nothing_can_be_written(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open stays readable where a disk has become read-only."""
    path, real = client.service.ledger.database.path, os.access
    monkeypatch.setattr(os, "access", lambda one, mode: Path(one) != path and real(one, mode))  # tests may run as root
    assert client.http.get("/readyz").status_code == 503
    assert client.http.get("/healthz").status_code == 200


def test_whoever_may_get_may_ask_for_the_head_alone(operator: Client) -> None:
    """As uptime monitors do."""
    for path in ("/healthz", "/readyz", "/v2/discovery", "/requests", "/page/login", "/nowhere"):
        got, head = (operator.http.request(method, path, headers=operator.headers()) for method in ("GET", "HEAD"))
        assert head.status_code == got.status_code, path
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert head.headers["Cache-Control"] == "no-store"
    assert operator.http.head("/requests").status_code == 401
    assert 'method="HEAD",route="/healthz",status="200"} 1.0' in operator.http.get("/metrics").text


def test_what_may_be_done_at_a_path_is_told_whoever_tries_something_else(client: Client) -> None:
    """Each of them by the document, and for whoever may GET the head alone, too (RFC 9110, 15.5.6)."""
    for path, operations in json.loads(DOCUMENT.read_text("utf-8"))["paths"].items():
        there = {one.upper() for one in operations}
        for method in {"GET", "POST", "PUT", "DELETE", "OPTIONS"} - there:
            answer = client.http.request(method, re.sub(r"\{\w+\}", "x", path))
            assert answer.status_code == 405
            assert set(answer.headers["Allow"].split(", ")) == there | ({"HEAD"} if "GET" in there else set())


def test_the_openapi_document_is_the_one_in_the_repository(client: Client) -> None:
    """Where the change is meant: UNLEARN_WRITE_OPENAPI=1 writes it, and the diff is for the review."""
    document = client.http.get("/openapi.json").json()
    if os.environ.get("UNLEARN_WRITE_OPENAPI") == "1":
        DOCUMENT.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    assert json.loads(DOCUMENT.read_text("utf-8")) == document
