"""The worker serves what is due through every target, escalates by rule, publishes nothing that failed, closes once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import event, select

from tests.oracles.traces import holders
from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.house import NOW, PATH, Failing, House
from tests.unlearn.target.example import KIND, Purchases
from tests.unlearn.target.people import PEOPLE
from unlearn.requests.cancelling import Cancelling
from unlearn.requests.holds import Holds
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.queue import Batching, Queue
from unlearn.requests.states import Outcome, RequestState, Step
from unlearn.requests.status import counts
from unlearn.requests.steps import Escalation
from unlearn.requests.tables import Callback, Request, StepRecord
from unlearn.requests.tasks import retry
from unlearn.target import Batch, Counts, Removal, Subject, Verdict, Version


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


@pytest.mark.parametrize(
    ("share", "drift", "step"), [(0.1, 0.3, Step.UNLEARN), (0.11, 0.0, Step.RETRAIN), (0.0, 0.31, Step.RETRAIN)]
)
def test_either_limit_is_enough_and_counts_as_kept(
    sqlite_ledger: Ledger, tmp_path: Path, share: float, drift: float, step: Step
) -> None:
    house = House(sqlite_ledger, tmp_path / "house")

    class Removing(Failing):
        def remove(self, batch: Batch) -> Removal:
            return replace(super().remove(batch), share=share, drift=drift)

    house.targets["shop"] = Removing(house.targets["shop"], "nothing")
    house.ask(PEOPLE[0])
    house.worker(escalation=Escalation(share=0.1, drift=0.3)).run_once()
    assert house.steps("shop")[3] == (step, Outcome.DONE)


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
    """Two workers, two batches: the first one's versions are overtaken, twice before and once after verification."""
    request, kiosk = house.ask(PEOPLE[0]), house.targets["kiosk"]
    early, late = iter(PEOPLE[1:3]), iter(PEOPLE[3:4])

    class Overtaken(Failing):
        def overtake(self, others: Iterator[str]) -> None:
            for other in islice(others, 1):
                kiosk.remove(Batch(f"of {other}", (Subject(KIND, other),)))

        def verify(self, batch: Batch, version: Version) -> Verdict:
            self.overtake(early)
            return super().verify(batch, version)

        def publish(self, batch: Batch, version: Version) -> Counts:
            self.overtake(late)
            return super().publish(batch, version)

    house.targets["kiosk"] = Overtaken(kiosk, "nothing")
    assert house.worker().run_once() and house.status(request).state is RequestState.COMPLETED
    again = [(Step.ROLLBACK, Outcome.DONE), (Step.RETRAIN, Outcome.DONE)]
    assert house.steps("kiosk")[4:] == [
        (Step.VERIFY, Outcome.STALE), *again, (Step.VERIFY_RETRAIN, Outcome.STALE), *again,
        (Step.VERIFY_RETRAIN, Outcome.PASSED), (Step.PUBLISH, Outcome.STALE), *again,
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


def test_a_request_may_name_more_people_than_a_statement_may_have_parameters(
    sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    """As one does that `reapply` makes after a backup of long ago was restored."""
    house, limit = House(sqlite_ledger, tmp_path / "house"), 200

    @event.listens_for(sqlite_ledger.database.engine, "checkout")
    def restrict(connection: sqlite3.Connection, *_: object) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, limit)

    crowd = [f"stranger {number}" for number in range(2 * limit)]
    one, other = house.ask(PEOPLE[0], *crowd), house.ask(PEOPLE[1], *crowd)
    released: list[Subject] = []
    Cancelling(sqlite_ledger, released.extend).cancel(None, one)
    assert released == [Subject(KIND, PEOPLE[0])]
    assert house.worker().run_once() and house.status(other).state is RequestState.COMPLETED
