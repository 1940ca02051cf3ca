"""The worker serves what is due through every target, escalates by rule, publishes nothing that failed, closes once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from math import inf, nan
from pathlib import Path
from time import sleep
from traceback import format_exception
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.oracles.traces import holders
from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.submissions import submission
from tests.unlearn.target.example import KIND, Purchases
from tests.unlearn.target.test_example import PEOPLE, ROWS
from unlearn.requests import audit
from unlearn.requests.certificate import defects, public_key
from unlearn.requests.database import Database
from unlearn.requests.holds import Holds
from unlearn.requests.intake import Intake
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.queue import Batching, Claim, LostLease, Queue
from unlearn.requests.states import Outcome, RequestState, Step
from unlearn.requests.status import PATIENCE, Status, counts, status
from unlearn.requests.steps import Escalation, LeftBehind
from unlearn.requests.tables import AuditRow, BatchRow, Callback, CertificateRow, Request, StepRecord
from unlearn.requests.tasks import Ended, due, record, retry
from unlearn.requests.worker import Worker
from unlearn.target import Batch, Check, Counts, Removal, Subject, Target, Verdict, Version

NOW = Batching(window=timedelta(0))
NEVER = Escalation(share=2.0, drift=2.0)  # of shares, which end at one
PATH = [Step.RESOLVE, Step.SUPPRESS, Step.REMOVE, Step.UNLEARN, Step.VERIFY, Step.PUBLISH, Step.PURGE]


class House:
    """Two targets and what takes requests in for them."""

    def __init__(self, ledger: Ledger, folder: Path, distrusted: Iterable[str] = ()) -> None:
        self.ledger, self.folder = ledger, folder
        for name in ("shop", "kiosk"):
            Purchases.create(folder / name, ROWS)
        self.targets: dict[str, Target] = {
            name: Purchases(folder / name, ledger.keyring.pseudonyms, frozenset(distrusted if name == "shop" else ()))
            for name in ("shop", "kiosk")
        }
        self.intake = Intake(ledger, self.suppress, due_within=timedelta(days=28))

    def suppress(self, subjects: Any) -> None:
        for target in self.targets.values():
            target.suppress(subjects)

    def ask(self, *people: str) -> str:
        return self.intake.submit(submission(*people, callbacks=("https://shop.example/hook",))).subject_request_id

    def worker(self, **changes: Any) -> Worker:
        return Worker(self.ledger, self.targets, **{"batching": NOW, "escalation": NEVER} | changes)

    def status(self, request: str) -> Status:
        return status(self.ledger, None, request)

    def steps(self, target: str) -> list[tuple[Step, Outcome]]:
        with self.ledger.database.read() as session:
            rows = session.scalars(select(StepRecord).where(StepRecord.target == target).order_by(StepRecord.id))
            return [(row.step, row.outcome) for row in rows]

    def events(self) -> list[str]:
        with self.ledger.database.read() as session:
            assert audit.first_break(session, self.ledger) is None
            return list(session.scalars(select(AuditRow.event).order_by(AuditRow.sequence)))


@pytest.fixture
def house(ledger: Ledger, tmp_path: Path) -> House:
    return House(ledger, tmp_path / "house")


def test_a_request_is_served_by_every_target_and_closed_once(house: House, clock: Clock) -> None:
    one, two = house.ask(PEOPLE[0]), house.ask(PEOPLE[1], "a stranger")
    worker = house.worker()
    assert worker.run_once() and not worker.run_once()
    for request in (one, two):
        found = house.status(request)
        assert found.state is RequestState.COMPLETED and found.closed_at == clock()
        assert found.targets == {"kiosk": Step.DONE, "shop": Step.DONE}
    for name in ("shop", "kiosk"):
        assert [step for step, _ in house.steps(name)] == PATH
    assert holders(house.folder, PEOPLE[:2]) == set() and holders(house.folder, PEOPLE[2:3])
    with house.ledger.database.read() as session:
        assert session.scalars(select(Request.payload)).all() == [None, None]
        told = session.execute(select(Callback.request_id, Callback.status)).all()
        assert sorted(tuple(row) for row in told) == sorted(
            (k, state) for k in (1, 2) for state in ("pending", "in_progress", "completed")
        )
        removed = session.scalars(select(StepRecord).where(StepRecord.step == Step.REMOVE)).all()
        assert [row.result["counts"] for row in removed] == [{"purchases": 6}, {"purchases": 6}]
    assert house.events().count("request.close") == 2
    # Asked for again, there is nothing left to do, and that is no failure.
    again = house.ask(PEOPLE[0])
    assert worker.run_once() and house.status(again).state is RequestState.COMPLETED


def test_batches_are_formed_when_there_are_enough_or_it_is_time(house: House, clock: Clock) -> None:
    plan = Batching(window=timedelta(hours=1), limit=3, margin=timedelta(days=3))
    worker = house.worker(batching=plan)
    house.ask(PEOPLE[0])
    assert not worker.run_once()
    clock.advance(minutes=59)
    house.ask(PEOPLE[1])
    assert not worker.run_once()
    house.ask(PEOPLE[2])
    assert worker.run_once()  # enough
    house.ask(PEOPLE[3])
    assert not worker.run_once()
    clock.advance(hours=1)
    assert worker.run_once()  # old enough
    house.ask(PEOPLE[4])
    slow = house.worker(batching=replace(plan, window=timedelta(days=365)))
    assert not slow.run_once()
    clock.advance(days=25, seconds=1)
    assert slow.run_once()  # due soon
    assert counts(house.ledger)[RequestState.COMPLETED] == 5


def test_above_a_limit_it_is_retrained_at_once(house: House) -> None:
    house.ask(PEOPLE[0])
    house.worker(escalation=Escalation(share=0.1)).run_once()
    expected = [Step.RESOLVE, Step.SUPPRESS, Step.REMOVE, Step.RETRAIN, Step.VERIFY_RETRAIN, Step.PUBLISH, Step.PURGE]
    assert [step for step, _ in house.steps("shop")] == expected


def test_what_fails_its_verification_is_rolled_back_and_retrained(ledger: Ledger, tmp_path: Path) -> None:
    house = House(ledger, tmp_path / "house", distrusted=["subtract"])
    request = house.ask(PEOPLE[0])
    house.worker().run_once()
    assert house.steps("shop")[4:] == [
        (Step.VERIFY, Outcome.FAILED), (Step.ROLLBACK, Outcome.DONE), (Step.RETRAIN, Outcome.DONE),
        (Step.VERIFY_RETRAIN, Outcome.PASSED), (Step.PUBLISH, Outcome.DONE), (Step.PURGE, Outcome.DONE),
    ]  # fmt: skip
    assert [step for step, _ in house.steps("kiosk")] == PATH
    assert house.status(request).state is RequestState.COMPLETED


def test_what_another_batch_has_overtaken_did_not_fail(house: House) -> None:
    """Two workers, two batches: the first one's versions, the retrained one too, are overtaken while it verifies."""
    request, kiosk = house.ask(PEOPLE[0]), house.targets["kiosk"]
    others = iter(PEOPLE[1:3])

    class Overtaken(Failing):
        def verify(self, batch: Batch, version: Version) -> Verdict:
            if (other := next(others, None)) is not None:
                kiosk.remove(Batch(f"of {other}", (Subject(KIND, other),)))
            return super().verify(batch, version)

    house.targets["kiosk"] = Overtaken(kiosk, "nothing")
    assert house.worker().run_once() and house.status(request).state is RequestState.COMPLETED
    again = [(Step.ROLLBACK, Outcome.DONE), (Step.RETRAIN, Outcome.DONE)]
    assert house.steps("kiosk")[4:] == [
        (Step.VERIFY, Outcome.STALE), *again, (Step.VERIFY_RETRAIN, Outcome.STALE), *again,
        (Step.VERIFY_RETRAIN, Outcome.PASSED), (Step.PUBLISH, Outcome.DONE), (Step.PURGE, Outcome.DONE),
    ]  # fmt: skip


def test_what_fails_twice_is_left_to_a_person_and_nothing_is_published(ledger: Ledger, tmp_path: Path) -> None:
    house = House(ledger, tmp_path / "house", distrusted=["subtract", "count"])
    shop = house.targets["shop"]
    assert isinstance(shop, Purchases)
    before = shop.counts()
    request = house.ask(PEOPLE[0])
    worker = house.worker()
    assert worker.run_once() and not worker.run_once()
    found = house.status(request)
    assert found.state is RequestState.IN_PROGRESS and found.needs_attention
    assert found.targets == {"kiosk": Step.DONE, "shop": Step.ATTENTION}
    assert shop.counts() == before and Step.PUBLISH not in dict(house.steps("shop"))
    assert shop.bought_by(PEOPLE[0]) == []  # suppressed all the while
    # It is in nobody's way: later requests are served, by what a person has put right.
    house.targets["shop"] = Purchases(house.folder / "shop", ledger.keyring.pseudonyms)
    later = house.ask(PEOPLE[1])
    assert house.worker().run_once() and house.status(later).state is RequestState.COMPLETED
    batch = found.batch
    assert batch is not None
    assert retry(ledger, batch, "operator") == 1
    with pytest.raises(Refused, match="needs attention"):
        retry(ledger, batch, "operator")
    assert house.worker().run_once()
    assert house.status(request).state is RequestState.COMPLETED
    assert holders(house.folder, PEOPLE[:2]) == set()


class Failing:
    """A target whose step raises, quoting whom it is about, until it is mended."""

    identity_types = frozenset({KIND})

    def __init__(self, inner: Target, step: str) -> None:
        self._inner, self._step, self.mended = inner, step, False

    def _checked(self, step: str, batch: Batch) -> Target:
        if step == self._step and not self.mended:
            raise OSError(f"cannot {step} {batch.subjects[0].value}")
        return self._inner

    def resolve(self, batch: Batch) -> Counts:
        return self._checked("resolve", batch).resolve(batch)

    def suppress(self, subjects: Iterable[Subject]) -> Counts:
        return self._inner.suppress(subjects)

    def release(self, subjects: Iterable[Subject]) -> Counts:
        return self._inner.release(subjects)

    def remove(self, batch: Batch) -> Removal:
        return self._checked("remove", batch).remove(batch)

    def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
        return self._checked("unlearn", batch).unlearn(batch, retrain=retrain)

    def verify(self, batch: Batch, version: Version) -> Verdict:
        return self._checked("verify", batch).verify(batch, version)

    def publish(self, batch: Batch, version: Version) -> Counts:
        return self._checked("publish", batch).publish(batch, version)

    def rollback(self, batch: Batch, version: Version) -> Counts:
        return self._inner.rollback(batch, version)

    def purge(self, batch: Batch) -> Counts:
        return self._checked("purge", batch).purge(batch)


@pytest.mark.parametrize("step", ["resolve", "remove", "unlearn", "verify", "publish", "purge"])
def test_an_exception_is_tried_again_later_and_names_nobody(
    sqlite_ledger: Ledger, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    caplog.set_level(logging.DEBUG)
    house = House(sqlite_ledger, tmp_path / "house")
    house.targets["kiosk"] = failing = Failing(house.targets["kiosk"], step)
    request, worker = house.ask(PEOPLE[0]), house.worker()
    for attempt in range(3):
        assert worker.run_once() and not worker.run_once()
        clock.advance(seconds=5 * 2**attempt + 1)
    assert house.status(request).targets["kiosk"] == step
    assert step == "resolve" or house.status(request).targets["shop"] is Step.DONE  # the other one goes on
    failing.mended = True
    assert worker.run_once() and house.status(request).state is RequestState.COMPLETED
    with sqlite_ledger.database.read() as session:
        details = session.scalars(select(AuditRow.detail).where(AuditRow.event == "batch.failed")).all()
    assert len(details) == 3 and all('"error":"OSError"' in detail for detail in details)
    assert PEOPLE[0] not in caplog.text + "".join(details)
    assert [one for one, _ in house.steps("kiosk")] == PATH


def test_what_raises_again_and_again_asks_for_a_person_and_is_tried_on(
    sqlite_ledger: Ledger, tmp_path: Path, clock: Clock
) -> None:
    house = House(sqlite_ledger, tmp_path / "house")
    house.targets["kiosk"] = failing = Failing(house.targets["kiosk"], "resolve")
    request, worker = house.ask(PEOPLE[0]), house.worker()
    for attempt in range(1, PATIENCE + 3):
        assert worker.run_once()
        found = house.status(request)
        assert found.failing and found.needs_attention == (attempt >= PATIENCE)
        clock.advance(hours=1)
    batch = house.status(request).batch
    assert batch is not None
    with pytest.raises(Refused, match="tried again by itself"):
        retry(sqlite_ledger, batch, "operator")
    failing.mended = True
    assert worker.run_once()
    found = house.status(request)
    assert found.state is RequestState.COMPLETED and not found.failing and not found.needs_attention


def test_what_could_not_be_closed_for_long_needs_no_attention_once_it_is(
    sqlite_ledger: Ledger, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(sqlite_ledger, tmp_path / "house")
    request, worker = house.ask(PEOPLE[0]), house.worker()

    def full(*_: Any) -> None:
        raise OperationalError("INSERT", {}, OSError("disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr("unlearn.requests.certificate.issue", full)
        for _ in range(PATIENCE):
            assert worker.run_once()
            clock.advance(hours=1)
        assert house.status(request).needs_attention
    assert worker.run_once()
    found = house.status(request)
    assert found.state is RequestState.COMPLETED and not found.failing and not found.needs_attention


def test_a_figure_that_is_no_number_fails_and_is_recorded_in_words(house: House) -> None:
    request = house.ask(PEOPLE[0])

    class Unsure(Failing):
        def unlearn(self, batch: Batch, *, retrain: bool) -> Version:
            facts = {"residual_before": inf, "residual_after": -inf, "seconds": 0.5, "rows": 3}
            return replace(super().unlearn(batch, retrain=retrain), facts=facts)

        def verify(self, batch: Batch, version: Version) -> Verdict:
            value = nan if version.method == "subtract" else 0.25
            return Verdict((Check(name="auc", value=value, high=0.5), Check(name="bound", value=inf, low=-inf)))

    house.targets["kiosk"] = Unsure(house.targets["kiosk"], "nothing")
    assert house.worker().run_once() and house.status(request).state is RequestState.COMPLETED
    assert house.steps("kiosk")[4:8] == [
        (Step.VERIFY, Outcome.FAILED), (Step.ROLLBACK, Outcome.DONE), (Step.RETRAIN, Outcome.DONE),
        (Step.VERIFY_RETRAIN, Outcome.PASSED),
    ]  # fmt: skip
    with house.ledger.database.read() as session:
        verified = select(StepRecord.result).where(StepRecord.target == "kiosk", StepRecord.step == Step.VERIFY)
        (check, bound) = session.scalars(verified).one()["checks"]
    assert check == {"name": "auc", "value": "NaN", "low": None, "high": 0.5, "passed": False}
    assert bound == {"name": "bound", "value": "Infinity", "low": "-Infinity", "high": None, "passed": True}
    kiosk = strict_certificate(house.ledger)["targets"]["kiosk"]
    assert [one["value"] for one in kiosk["verification"]["checks"]] == [0.25, "Infinity"]
    told = {"residual_before": "Infinity", "residual_after": "-Infinity", "seconds": 0.5, "rows": 3}
    assert kiosk["version"]["facts"] == told
    assert "step.ended" in house.events()  # and the trail holds


def strict_certificate(ledger: Ledger) -> Any:
    """The only certificate, read by a reader that knows no numbers but JSON's; it is signed and whole."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    with ledger.database.read() as session:
        document = json.loads(session.scalars(select(CertificateRow.content)).one(), parse_constant=refuse)
        for detail in session.scalars(select(AuditRow.detail)):
            json.loads(detail, parse_constant=refuse)
    assert defects(document, public_key(ledger.keyring)) == []
    return document


def test_a_purge_that_leaves_something_is_no_purge(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    house = House(sqlite_ledger, tmp_path / "house")

    class Sloppy(Purchases):
        def purge(self, batch: Batch) -> Counts:
            return {"sealed": 1}

    house.targets["kiosk"] = Sloppy(house.folder / "kiosk", sqlite_ledger.keyring.pseudonyms)
    request = house.ask(PEOPLE[0])
    house.worker().run_once()
    assert house.status(request).targets["kiosk"] is Step.PURGE
    with sqlite_ledger.database.read() as session:
        assert (
            LeftBehind.__name__
            in session.scalars(select(AuditRow.detail).where(AuditRow.event == "batch.failed")).one()
        )


def test_a_verdict_without_checks_or_with_no_number_has_shown_nothing() -> None:
    assert not Verdict(()).passed
    assert not Verdict((Check(name="x", value=float("nan"), low=0, high=1),)).passed
    assert not Verdict((Check(name="x", value=float("nan")),)).passed
    assert Verdict((Check(name="x", value=1.0, low=1, high=1), Check(name="y", value=-5.0, high=0))).passed
    assert not Check(name="x", value=0.9, low=1).passed and not Check(name="x", value=1.1, high=1).passed


# ---- holds -----------------------------------------------------------------------------------------------------------


def test_people_on_hold_are_suppressed_and_not_removed_until_it_is_lifted(house: House) -> None:
    holds, worker = Holds(house.ledger), house.worker()
    held = Subject(KIND, PEOPLE[0])
    assert holds.place(held, "case 7").too_late_for == ()
    kept, other = house.ask(PEOPLE[0], PEOPLE[1]), house.ask(PEOPLE[2])
    assert worker.run_once()
    assert house.status(kept).state is RequestState.ON_HOLD and house.status(other).state is RequestState.COMPLETED
    assert holders(house.folder, PEOPLE[:1]) and not holders(house.folder, PEOPLE[2:3])
    assert not worker.run_once()
    name = house.ledger.keyring.pseudonyms.of(held)
    assert (holds.lift(name), holds.lift(name)) == (1, None)
    assert worker.run_once() and house.status(kept).state is RequestState.COMPLETED
    assert not holders(house.folder, PEOPLE[:2])
    assert [event for event in house.events() if event.startswith("hold.")] == ["hold.placed", "hold.lifted"]


def test_a_hold_counts_until_the_check_of_the_batch_and_says_when_it_is_too_late(house: House) -> None:
    holds, held = Holds(house.ledger), Subject(KIND, PEOPLE[0])
    queue = Queue(house.ledger, house.targets, NOW, lease=timedelta(minutes=1))
    kept, other = house.ask(PEOPLE[0]), house.ask(PEOPLE[1])
    claim = queue.claim("me")
    assert claim is not None and len(queue.people(claim).subjects) == 2
    holds.place(held, "case 7")
    assert queue.check_holds(claim)
    assert house.status(kept).state is RequestState.ON_HOLD and house.status(kept).batch is None
    assert [one.value for one in queue.people(claim).subjects] == [PEOPLE[1]]
    assert holds.place(Subject(KIND, PEOPLE[1]), "case 8").too_late_for == (other,)
    assert queue.check_holds(claim) and house.status(other).state is RequestState.IN_PROGRESS


def test_a_batch_of_which_nothing_is_left_is_closed(house: House) -> None:
    queue = Queue(house.ledger, house.targets, NOW, lease=timedelta(minutes=1))
    kept = house.ask(PEOPLE[0])
    claim = queue.claim("me")
    assert claim is not None
    Holds(house.ledger).place(Subject(KIND, PEOPLE[0]), "case 7")
    assert not queue.check_holds(claim) and not queue.check_holds(claim)
    assert house.status(kept).state is RequestState.ON_HOLD and queue.claim("me") is None


# ---- leases ----------------------------------------------------------------------------------------------------------


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
