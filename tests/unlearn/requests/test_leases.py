"""A batch is one worker's at a time, for as long as its heart beats."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import sleep
from traceback import format_exception
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.house import NOW, Failing, House
from tests.unlearn.target.people import PEOPLE
from unlearn.requests.database import Database
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching, Claim, LostLease, Queue
from unlearn.requests.states import Outcome, RequestState, Step
from unlearn.requests.tables import BatchRow
from unlearn.requests.tasks import Ended, due, record
from unlearn.target import Batch, Removal


def test_a_batch_is_one_workers_until_its_lease_ends_and_then_the_old_one_records_nothing(
    house: House, clock: Clock
) -> None:
    queue = Queue(house.ledger, house.targets, NOW, lease=timedelta(minutes=1))
    house.ask(PEOPLE[0])
    first = queue.claim("first")
    assert first is not None and queue.claim("second") is None
    clock.advance(seconds=50)
    assert queue.heartbeat(first)
    clock.advance(seconds=50)
    assert queue.claim("second") is None
    clock.advance(seconds=11)
    second = queue.claim("second")
    assert second is not None and second.batch_id == first.batch_id and not queue.heartbeat(first)
    step = due(house.ledger, first)[0]
    ended = Ended(Outcome.DONE, {})
    for attempt in (
        lambda: record(house.ledger, queue, first, step, ended, clock()),
        lambda: queue.check_holds(first),
        lambda: queue.close(first),
        lambda: queue.failed(first, "OSError"),
    ):
        with pytest.raises(LostLease):
            attempt()
    assert record(house.ledger, queue, second, step, ended, clock()).step is Step.SUPPRESS


def test_on_postgresql_workers_take_different_batches_on_sqlite_one_at_a_time(house: House) -> None:
    one_each = replace(NOW, limit=1)
    queue = Queue(house.ledger, house.targets, one_each, lease=timedelta(minutes=1))
    house.ask(PEOPLE[0])
    house.ask(PEOPLE[1])
    first, second = queue.claim("first"), queue.claim("second")
    assert first is not None
    if house.ledger.database.sqlite:
        assert second is None
    else:
        assert second is not None and second.batch_id != first.batch_id
    with house.ledger.database.read() as session:
        assert len(session.scalars(select(BatchRow)).all()) == (1 if house.ledger.database.sqlite else 2)


def test_a_step_that_raises_after_its_lease_is_the_next_workers(
    sqlite_ledger: Ledger, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(sqlite_ledger, tmp_path / "house")
    request, shop = house.ask(PEOPLE[0]), house.targets["shop"]

    class Asleep(Failing):
        def remove(self, batch: Batch) -> Removal:
            clock.advance(minutes=2)
            assert Queue(house.ledger, house.targets, NOW, lease=timedelta(minutes=1)).claim("second") is not None
            raise OSError(f"cannot remove {batch.subjects[0].value}")

    house.targets["shop"] = Asleep(shop, "nothing")
    assert house.worker().run_once()
    assert "lease lost" in caplog.text and PEOPLE[0] not in caplog.text
    assert house.events().count("batch.failed") == 0
    house.targets["shop"] = shop
    clock.advance(minutes=2)
    assert house.worker().run_once() and house.status(request).state is RequestState.COMPLETED


def test_a_database_that_fails_while_a_failure_is_written_down_is_all_that_is_told(
    sqlite_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(sqlite_ledger, tmp_path / "house")
    house.ask(PEOPLE[0])
    house.targets["kiosk"] = Failing(house.targets["kiosk"], "remove")

    def full(*_: Any) -> None:
        raise OperationalError("UPDATE", {}, OSError("disk is full"))

    monkeypatch.setattr(Queue, "failed", full)
    with pytest.raises(OperationalError) as raised:
        house.worker().run_once()
    told = "".join(format_exception(raised.value))
    assert "disk is full" in told and PEOPLE[0] not in told and "cannot remove" not in told


def test_a_heartbeat_that_the_database_refuses_is_not_the_last(
    url: str, keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(Ledger(Database(url), keyring), tmp_path / "house")  # by the time of the day
    request, lease, beats, real = house.ask(PEOPLE[0]), timedelta(seconds=1.5), list[bool](), Queue.heartbeat

    def beat(queue: Queue, claim: Claim) -> bool:
        beats.append(True)
        if len(beats) == 2:
            raise OperationalError("UPDATE", {}, OSError("server closed the connection"))
        return real(queue, claim)

    class Long(Failing):
        def remove(self, batch: Batch) -> Removal:
            sleep(4)
            assert Queue(house.ledger, house.targets, NOW, lease=lease).claim("second") is None
            return super().remove(batch)

    monkeypatch.setattr(Queue, "heartbeat", beat)
    house.targets["kiosk"] = Long(house.targets["kiosk"], "nothing")
    assert house.worker(lease=lease).run_once() and house.status(request).state is RequestState.COMPLETED
    assert len(beats) > 2 and "OperationalError" in caplog.text and "closed the connection" not in caplog.text
    house.ledger.database.close()


def test_requests_that_were_received_by_a_clock_that_was_ahead_wait_for_no_window(house: House, clock: Clock) -> None:
    clock.advance(days=400)
    request = house.ask(PEOPLE[0])
    clock.advance(days=-400)
    hourly = Batching(window=timedelta(hours=1))
    assert house.worker(batching=hourly).run_once() and house.status(request).state is RequestState.COMPLETED
    clock.advance(minutes=5)  # by which another machine's clock may well be ahead
    house.ask(PEOPLE[1])
    clock.advance(minutes=-5)
    assert not house.worker(batching=hourly).run_once()


@pytest.mark.parametrize("failed", [False, True])
def test_a_clock_that_was_ahead_and_is_put_right_keeps_nobody_waiting(house: House, clock: Clock, failed: bool) -> None:
    request, queue = house.ask(PEOPLE[0]), Queue(house.ledger, house.targets, NOW, lease=timedelta(minutes=1))
    clock.advance(days=400)
    claim = queue.claim("dead")
    assert claim is not None
    if failed:
        queue.failed(claim, "OSError")
    clock.advance(days=-400)
    assert house.worker().run_once() and house.status(request).state is RequestState.COMPLETED
    with pytest.raises(LostLease):
        queue.check_holds(claim)
