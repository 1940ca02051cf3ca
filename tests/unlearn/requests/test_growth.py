"""What the service does all the time does not become slower with the requests that it has served."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.submissions import submission
from tests.unlearn.target.example import KIND
from unlearn.requests.callbacks import Callbacks
from unlearn.requests.cancelling import Cancelling
from unlearn.requests.database import Database
from unlearn.requests.holds import Holds
from unlearn.requests.intake import Intake
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.page.reading import standing_holds
from unlearn.requests.queue import Batching, Queue
from unlearn.requests.states import Outcome, RequestState, Step
from unlearn.requests.status import status
from unlearn.requests.tables import AuditRow, BatchRow, Callback, Person, Request, StepRecord, Task
from unlearn.target import Subject

PATIENT = Batching(window=timedelta(days=1), limit=10**6, retrain_every=timedelta(days=30))
RETRAINED = 10  # of the batches
WAITING = [submission("ada"), submission("bob")]  # of whom one is on hold
NEW = [submission("eve", callbacks=("https://shop.example/hook",)) for _ in range(20)]


def grown(ledger: Ledger, closed: int) -> str:
    """Writes so many closed requests into the ledger, each in a batch of its own; returns the id of the last one."""
    at, rows = ledger.now(), range(1, closed + 1)
    ids = [f"{row:032x}" for row in rows]
    request = {"fingerprint": "", "regulation": "gdpr", "callbacks": [], "state": RequestState.COMPLETED,
               "submitted_at": at, "received_at": at, "due_at": at, "closed_at": at}  # fmt: skip
    step = {"target": "shop", "outcome": Outcome.DONE, "started_at": at, "ended_at": at, "result": {}}
    trail = {"at": at, "actor": "worker", "event": "request.close", "detail": "{}", "previous": "", "digest": ""}
    outbox = {"url": "", "status": "completed", "created_at": at, "not_before": at, "ended_at": at, "delivered": True}
    with ledger.database.write() as session:
        for table, rows_of in {
            BatchRow: [{"id": id, "created_at": at, "due_at": at, "closed_at": at, "not_before": at} for id in ids],
            Request: [
                request | {"id": row, "caller": "shop", "subject_request_id": id, "idempotency_key": id, "batch_id": id}
                for row, id in zip(rows, ids, strict=True)
            ],
            Person: [{"request_id": row, "pseudonym": f"{row:064x}"} for row in rows],
            Task: [{"batch_id": id, "target": "shop", "step": Step.DONE} for id in ids],
            StepRecord: [
                step | {"batch_id": id, "step": one}
                for id in ids
                for one in ((Step.RETRAIN if id in ids[:RETRAINED] else Step.UNLEARN), Step.PUBLISH)
            ],
            Callback: [outbox | {"id": id, "request_id": row} for row, id in zip(rows, ids, strict=True)],
            AuditRow: [trail | {"sequence": row, "about": f"request:{row}"} for row in rows],
        }.items():  # fmt: skip
            session.execute(insert(table), rows_of)
    return ids[-1]


@contextmanager
def instructions(database: Database) -> Generator[list[int]]:
    """How many instructions of its machine SQLite executes meanwhile: what it reads, whatever the computer is doing."""
    counted = [0]

    def count() -> None:
        counted[0] += 1

    def watch(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(count, 1)

    event.listen(database.engine, "begin", watch)
    yield counted
    event.remove(database.engine, "begin", watch)


def idle(ledger: Ledger, _: str) -> None:
    assert Queue(ledger, ["shop"], PATIENT, lease=timedelta(minutes=1)).claim("worker") is None


def taken_in(ledger: Ledger, _: str) -> None:
    all_there = Event()
    intake = Intake(ledger, lambda _: all_there.wait(), due_within=timedelta(days=28))
    first, *others = map(intake.enqueue, NEW)  # while the first is stored, the others come, and are stored together
    all_there.set()
    assert not any(one.result().replayed for one in (first, *others))
    intake.close()


def told(ledger: Ledger, _: str) -> None:
    assert Callbacks(ledger, "forget.example").deliver() == 0


def released(ledger: Ledger, _: str) -> None:
    assert Cancelling(ledger, lambda _: None).finish() == 0


def asked(ledger: Ledger, last: str) -> None:
    assert status(ledger, None, last).state is RequestState.COMPLETED


def on_hold(ledger: Ledger, _: str) -> None:
    assert [one.waiting for one in standing_holds(ledger)] == [1]


@pytest.mark.parametrize("work", [idle, taken_in, told, released, asked, on_hold])
def test_it_reads_no_more_where_more_is_closed(
    work: Callable[[Ledger, str], None], sqlite_template: Path, keyring: Keyring, clock: Clock, tmp_path: Path
) -> None:
    counted: list[int] = []
    for closed in (100, 1_000):
        url = f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / f'ledger{closed}.db')}"
        ledger = Ledger(Database(url), keyring, clock)
        last = grown(ledger, closed)
        waiting = Intake(ledger, lambda _: None, due_within=timedelta(days=28))
        for one in WAITING:
            waiting.submit(one)
        waiting.close()
        Holds(ledger).place(Subject(KIND, "bob"), "case 7")
        idle(ledger, last)  # which puts the request on hold
        with instructions(ledger.database) as number:
            work(ledger, last)
        counted.append(number[0])
        ledger.database.close()
    assert counted[1] < 1.2 * counted[0]
