"""What raises, or gives a figure that is no number: tried again, told without names, and never in the way of others."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.house import PATH, Failing, House, strict_certificate
from tests.unlearn.target.example import Purchases
from tests.unlearn.target.people import PEOPLE
from unlearn.requests import worker as worker_module
from unlearn.requests.certificate import disclosed
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.queue import Claim, Queue
from unlearn.requests.states import Outcome, RequestState, Step
from unlearn.requests.status import PATIENCE
from unlearn.requests.steps import LeftBehind
from unlearn.requests.tables import AuditRow, StepRecord
from unlearn.requests.tasks import retry
from unlearn.target import Batch, Check, Counts, Verdict, Version


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
    assert house.status(request).targets["shop"] is Step.DONE  # the other one goes on
    failing.mended = True
    assert worker.run_once() and house.status(request).state is RequestState.COMPLETED
    with sqlite_ledger.database.read() as session:
        details = session.scalars(select(AuditRow.detail).where(AuditRow.event == "batch.failed")).all()
    assert len(details) == 3 and all('"error":"OSError"' in detail for detail in details)
    assert PEOPLE[0] not in caplog.text + "".join(details)
    assert [one for one, _ in house.steps("kiosk")] == PATH


def test_a_target_that_the_settings_name_no_more_is_missed_by_its_batch_alone(
    sqlite_ledger: Ledger, tmp_path: Path, clock: Clock
) -> None:
    house = House(sqlite_ledger, tmp_path / "house")
    kiosk = house.targets["kiosk"]
    house.targets["kiosk"] = Failing(kiosk, "publish")
    request = house.ask(PEOPLE[0])
    house.worker().run_once()
    del house.targets["kiosk"]
    clock.advance(hours=1)
    later = house.ask(PEOPLE[1])
    worker = house.worker()
    assert worker.run_once() and worker.run_once()
    assert house.status(request).failing and house.status(later).state is RequestState.COMPLETED
    with sqlite_ledger.database.read() as session:
        details = session.scalars(select(AuditRow.detail).where(AuditRow.event == "batch.failed")).all()
    assert '"error":"NoSuchTarget"' in details[1]
    house.targets["kiosk"] = kiosk
    clock.advance(hours=1)
    assert house.worker().run_once() and house.status(request).state is RequestState.COMPLETED


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
    (figures,) = disclosed(strict_certificate(house.ledger), "figures")
    assert [one["value"] for one in figures["kiosk"]["checks"]] == [0.25, "Infinity"]
    told = {"residual_before": "Infinity", "residual_after": "-Infinity", "seconds": 0.5, "rows": 3}
    assert figures["kiosk"]["facts"] == told
    assert "step.ended" in house.events()  # and the trail holds


def test_a_purge_that_leaves_something_is_no_purge(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    house = House(sqlite_ledger, tmp_path / "house")

    class Sloppy(Purchases):
        def purge(self, batch: Batch) -> Counts:
            return {"sealed": 1, "versions": 0}

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


def test_a_worker_waits_for_a_database_that_is_gone_and_goes_on(
    sqlite_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Be it gone when a batch is asked for, or when what is owed besides is looked for."""
    house = House(sqlite_ledger, tmp_path / "house")
    request, stop, real, failed = house.ask(PEOPLE[0]), threading.Event(), Queue.claim, set[str]()

    def once(work: str) -> None:
        if work not in failed:
            failed.add(work)
            raise OperationalError(work, {}, OSError(f"server closed, of {PEOPLE[0]}"))

    def claim(queue: Queue, name: str) -> Claim | None:
        once("claim")
        return real(queue, name)

    def chore() -> None:
        once("chore")
        stop.set()

    monkeypatch.setattr(worker_module, "_GONE", 0.01)
    monkeypatch.setattr(Queue, "claim", claim)
    house.worker().run(stop, [chore])
    assert house.status(request).state is RequestState.COMPLETED
    assert caplog.text.count("database: OSError, to be tried again") == 2 and PEOPLE[0] not in caplog.text
