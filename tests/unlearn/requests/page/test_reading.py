"""What pages read is the same on both databases, and a page of many requests costs no more than one of few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.submissions import submission
from tests.unlearn.target.example import Purchases
from unlearn.requests.database import Database
from unlearn.requests.health import health
from unlearn.requests.intake import Intake
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.page import listing, reading
from unlearn.requests.page.sessions import Sessions
from unlearn.requests.queue import Batching
from unlearn.requests.states import RequestState
from unlearn.requests.worker import Worker

PEOPLE = [f"{number:032x}" for number in range(70)]
SOON = timedelta(days=3)


def ask(ledger: Ledger, *people: str, **changes: Any) -> str:
    intake = Intake(ledger, lambda _: None, due_within=timedelta(days=28))
    return intake.submit(submission(*people, **changes)).subject_request_id


def test_both_databases_are_read_alike(ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
    Purchases.create(tmp_path / "shop", [(person, "tea") for person in PEOPLE])
    shop = Purchases(tmp_path / "shop", ledger.keyring.pseudonyms)
    done = ask(ledger, PEOPLE[0])
    Worker(ledger, {"shop": shop}, batching=Batching(window=timedelta(0))).run_once()
    clock.advance(days=1)
    waiting = [ask(ledger, person, caller="other") for person in PEOPLE[1:4]]
    clock.advance(days=1, hours=23)
    last = ask(ledger, PEOPLE[4])

    def found(**asked: Any) -> list[str]:
        rows = listing.find(ledger, None, listing.Listing(**asked), soon=SOON).rows
        return [row.subject_request_id for row in rows]

    assert found() == [*waiting, last] and found(sort="-received") == [last, *waiting[::-1]]
    assert found(state="completed") == [done] and found(controller="shop", state="all") == [done, last]
    assert found(q=last[:20]) == [last] and found(q="_") == [] and found(state="attention") == []
    clock.advance(days=24)
    assert found(due="soon") == waiting and found(due="overdue") == []
    clock.advance(days=2, hours=2)
    assert found(due="overdue") == waiting and found(due="week") == [*waiting, last]
    days = {(clock() + timedelta(days=k)).date().isoformat(): n for k, n in ((0, 3), (2, 1))}
    assert reading.due_by_day(ledger) == days
    assert health(ledger).overdue == 3 and health(ledger).requests[RequestState.PENDING] == 4

    one = reading.one_request(ledger, "shop", done, whole=True)
    assert one.certified and len(one.people) == 1 and one.status.batch is not None
    events = Counter(row.event for row in one.history)
    assert events["step.ended"] == 7 and events["request.close"] == 1
    batch = reading.one_batch(ledger, one.status.batch)
    assert (
        batch is not None
        and batch.certificate is not None
        and batch.evidence["shop"]["left"] == {"sealed": 0, "purchases": 0}
    )
    (version,) = reading.versions(ledger)
    assert version.current and version.passed and version.published_at is not None
    assert reading.open_batches(ledger) == [] and reading.standing_holds(ledger) == []
    assert Sessions(ledger).recognise("x") is None


def test_a_day_is_one_of_utc_wherever_the_server_is(empty_postgresql: Callable[[], str], keyring: Keyring) -> None:
    url, late = empty_postgresql(), Clock(datetime(2026, 1, 5, 20, tzinfo=UTC))
    database = Database(f"{url}&options=-ctimezone%3DAsia/Tokyo")
    ledger = Ledger(database, keyring, late)
    ask(ledger, PEOPLE[0])
    assert reading.due_by_day(ledger) == {"2026-02-02": 1}
    database.close()


def test_a_list_asks_as_often_whatever_is_on_it(sqlite_ledger: Ledger) -> None:
    asked: list[str] = []
    event.listen(sqlite_ledger.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))

    def questions() -> int:
        asked.clear()
        listing.find(sqlite_ledger, None, listing.Listing(state="all"), soon=SOON)
        return len(asked)

    ask(sqlite_ledger, PEOPLE[0])
    few = questions()
    for person in PEOPLE[1:60]:
        ask(sqlite_ledger, person)
    assert questions() == few <= 9
