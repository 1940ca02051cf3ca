"""Exact retrains on schedule: when they are due, that there is one at a time, and that a crash costs nothing."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.cli.run import unlearn
from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.house import NEVER, House
from tests.unlearn.requests.killed import Boundary, fresh
from tests.unlearn.target.crashes import killed
from tests.unlearn.target.example import Purchases
from tests.unlearn.target.people import PEOPLE
from unlearn.requests import audit
from unlearn.requests.certificate import certificate, defects, disclosed, public_key
from unlearn.requests.database import Database
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching, Queue
from unlearn.requests.states import Outcome, RequestState, Step
from unlearn.requests.steps import Escalation
from unlearn.requests.tables import BatchRow, StepRecord
from unlearn.requests.tasks import retry
from unlearn.requests.worker import Worker

MONTHLY = Batching(window=timedelta(0), retrain_every=timedelta(days=30))
PATH = [(Step.RETRAIN, Outcome.DONE), (Step.VERIFY_RETRAIN, Outcome.PASSED),
        (Step.PUBLISH, Outcome.DONE), (Step.PURGE, Outcome.DONE)]  # fmt: skip


@pytest.fixture
def house(ledger: Ledger, tmp_path: Path) -> House:
    return House(ledger, tmp_path / "house")


def batches(ledger: Ledger) -> list[str]:
    with ledger.database.read() as session:
        return list(session.scalars(select(BatchRow.id).order_by(BatchRow.created_at)))


def test_it_is_due_so_long_after_the_last_full_training_of_each_target(house: House, clock: Clock) -> None:
    worker = house.worker(batching=MONTHLY)
    assert not worker.run_once()  # nothing has begun
    house.ask(PEOPLE[0])
    assert worker.run_once() and not worker.run_once()
    clock.advance(days=29, hours=23)
    assert not worker.run_once()
    clock.advance(hours=1)
    assert worker.run_once() and not worker.run_once()
    for name in ("shop", "kiosk"):
        assert house.steps(name)[-4:] == PATH
    clock.advance(days=20)
    house.ask(PEOPLE[1])
    assert house.worker(batching=MONTHLY, escalation=Escalation(share=0.1)).run_once()  # a rule has both retrained
    clock.advance(days=20)
    assert not worker.run_once()
    clock.advance(days=10)
    assert worker.run_once() and not worker.run_once()
    assert house.events().count("retrain.scheduled") == 2
    assert not house.worker().run_once()  # without the setting there is none


def test_one_that_was_recorded_by_a_clock_that_was_ahead_puts_off_no_other(house: House, clock: Clock) -> None:
    worker = house.worker(batching=MONTHLY)
    house.ask(PEOPLE[0])
    assert worker.run_once()
    clock.advance(days=400)
    assert worker.run_once() and not worker.run_once()
    clock.advance(days=-400 + 31)
    assert worker.run_once() and not worker.run_once()
    assert house.steps("shop")[-8:] == 2 * PATH


def test_requests_go_first_and_one_that_waits_for_a_person_is_not_formed_again(
    ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    house = House(ledger, tmp_path / "house", distrusted=["count"])
    house.ask(PEOPLE[0])
    worker = house.worker(batching=MONTHLY)
    assert worker.run_once()
    clock.advance(days=31)
    request = house.ask(PEOPLE[1])
    assert worker.run_once() and house.status(request).state is RequestState.COMPLETED
    assert "retrain.scheduled" not in house.events()
    assert worker.run_once() and not worker.run_once()
    assert house.steps("shop")[-2:] == [(Step.VERIFY_RETRAIN, Outcome.FAILED), (Step.ROLLBACK_RETRAIN, Outcome.DONE)]
    clock.advance(days=31)
    assert worker.run_once() and not worker.run_once()  # of the other target alone
    assert house.events().count("retrain.scheduled") == 2
    house.targets["shop"] = Purchases(house.folder / "shop", ledger.keyring.pseudonyms)  # put right
    assert retry(ledger, batches(ledger)[2], "operator") == 1
    worker = house.worker(batching=MONTHLY)
    assert worker.run_once() and not worker.run_once()


def test_its_certificate_says_that_it_was_on_schedule_and_about_nobody(
    house: House, clock: Clock, tmp_path: Path
) -> None:
    house.ask(PEOPLE[0])
    worker = house.worker(batching=MONTHLY)
    worker.run_once()
    clock.advance(days=30)
    worker.run_once()
    first, second = (certificate(house.ledger, id) for id in batches(house.ledger))
    assert first is not None and second is not None
    assert (first["occasion"], second["occasion"]) == ("requests", "schedule") and not disclosed(second, "request")
    assert second["targets"]["shop"]["version"]["method"] == "count"
    key, file = public_key(house.ledger.keyring), tmp_path / "certificate.json"
    assert defects(second, key, first) == []
    file.write_text(json.dumps(second), "utf-8")
    assert "a scheduled retrain in kiosk, shop" in unlearn("verify-certificate", file, "--key", key).stdout


def test_of_several_workers_one_forms_it(house: House, clock: Clock) -> None:
    house.ask(PEOPLE[0])
    house.worker().run_once()
    clock.advance(days=30)
    start, claims = threading.Barrier(4), list[Any]()

    def claim(number: int) -> None:
        queue = Queue(house.ledger, house.targets, MONTHLY, lease=timedelta(minutes=1))
        start.wait()
        claims.append(queue.claim(f"worker {number}"))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claims) == 4 and sum(one is not None for one in claims) == 1
    assert house.events().count("retrain.scheduled") == 1


def test_a_worker_killed_at_any_boundary_of_it(
    request: pytest.FixtureRequest, in_memory: Path, keyring: Keyring, sqlite_template: Path
) -> None:
    number = 0
    while True:
        url, clock = fresh("sqlite", request, in_memory, sqlite_template, number), Clock()
        ledger = Ledger(Database(url), keyring, clock)
        house = House(ledger, in_memory / f"house{number}")
        house.ask(PEOPLE[0])
        house.worker().run_once()
        clock.advance(days=30)
        ledger.database.close()

        def serve(url: str = url, house: House = house, clock: Clock = clock) -> None:
            database = Database(url)
            worker = Worker(Ledger(database, keyring, clock), house.targets, batching=MONTHLY, escalation=NEVER)
            while worker.run_once():
                pass
            database.close()

        def dying(number: int = number) -> None:
            Boundary(number).arm()
            serve()

        dead = killed(dying)
        clock.advance(minutes=2)
        serve()
        for name in ("shop", "kiosk"):
            assert house.steps(name)[-4:] == PATH and len(house.steps(name)) == 11
        with ledger.database.read() as session:
            assert audit.first_break(session, ledger) is None
            assert session.scalar(select(func.count()).select_from(BatchRow).where(BatchRow.closed_at.is_(None))) == 0
            assert session.scalar(select(func.count()).select_from(StepRecord)) == 22
        assert house.events().count("retrain.scheduled") == 1
        ledger.database.close()
        if not dead:
            break
        number += 1
    assert number > 2 * 2 * len(PATH)
