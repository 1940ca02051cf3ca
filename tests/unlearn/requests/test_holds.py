"""A hold on a person holds what is asked for of them, in part, too, until that very hold is lifted."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.unlearn.requests.house import NOW, House
from tests.unlearn.requests.submissions import submission
from tests.unlearn.target.example import KIND
from tests.unlearn.target.people import PEOPLE
from unlearn.requests import cancelling
from unlearn.requests.cancelling import Cancelling
from unlearn.requests.holds import Holds
from unlearn.requests.ledger import Ledger, Refused
from unlearn.requests.page.reading import one_request, standing_holds
from unlearn.requests.queue import Queue
from unlearn.requests.restoring import returned
from unlearn.requests.states import RequestState
from unlearn.requests.tables import Callback
from unlearn.target import Subject, interaction

ADA, BOB = Subject(KIND, PEOPLE[0]), Subject(KIND, PEOPLE[1])


@pytest.fixture
def house(ledger: Ledger, tmp_path: Path) -> House:
    return House(ledger, tmp_path / "house")


def asked_for(house: House, person: Subject) -> str:
    """A request for one interaction of theirs."""
    asked = submission(subjects=(interaction(person, "book"),), callbacks=("https://shop.example/hook",))
    return house.intake.submit(asked).subject_request_id


def told(house: House) -> list[str]:
    """What controllers were told, in that order."""
    with house.ledger.database.read() as session:
        rows = session.scalars(select(Callback)).all()
    return [row.status for row in sorted(rows, key=lambda row: row.created_at)]


def test_a_hold_on_a_person_holds_their_single_interactions_too(house: House) -> None:
    request, holds = asked_for(house, ADA), Holds(house.ledger)
    holds.place(ADA, "case 7")
    worker = house.worker()
    assert not worker.run_once() and house.status(request).state is RequestState.ON_HOLD
    assert holds.lift(house.ledger.keyring.pseudonyms.of(ADA)) == 1
    assert worker.run_once() and house.status(request).state is RequestState.COMPLETED


def test_lifting_somebody_elses_hold_frees_no_interaction(house: House) -> None:
    request, holds = asked_for(house, ADA), Holds(house.ledger)
    holds.place(ADA, "case 7")
    worker = house.worker()
    for _ in range(2):
        holds.place(BOB, "case 8")
        worker.run_once()
        assert holds.lift(house.ledger.keyring.pseudonyms.of(BOB)) == 0
        assert house.status(request).state is RequestState.ON_HOLD
    assert told(house) == ["pending"]


def test_what_is_found_on_hold_when_its_batch_begins_was_never_in_progress(house: House) -> None:
    """Whichever the request is about, the person or a part of them; others go on."""
    whole, part = house.ask(PEOPLE[0]), asked_for(house, ADA)
    other = house.ask(PEOPLE[1])
    Holds(house.ledger).place(ADA, "case 7")
    assert [(hold.reference, hold.waiting) for hold in standing_holds(house.ledger)] == [("case 7", 2)]
    assert house.worker().run_once() and not house.worker().run_once()
    assert house.status(other).state is RequestState.COMPLETED
    for request in (whole, part):
        assert house.status(request).state is RequestState.ON_HOLD and house.status(request).batch is None
    assert sorted(told(house)) == sorted(["pending"] * 3 + ["in_progress", "completed"])


@pytest.mark.parametrize("complete", [True, False])
def test_a_hold_says_for_which_interactions_it_comes_too_late(house: House, complete: bool) -> None:
    request = asked_for(house, ADA)
    both = house.intake.submit(submission(subjects=(ADA, interaction(ADA, "pen")))).subject_request_id
    if complete:
        assert house.worker().run_once()
    else:
        queue = Queue(house.ledger, house.targets, NOW, lease=timedelta(minutes=1))
        claim = queue.claim("me")
        assert claim is not None and queue.check_holds(claim)
    assert Holds(house.ledger).place(ADA, "case 7").too_late_for == (request, both)
    assert Holds(house.ledger).place(BOB, "case 8").too_late_for == ()


def test_the_owner_of_an_interaction_is_not_asked_for(house: House) -> None:
    """They are answered to again with their own request, and nobody has them come back who was never erased."""
    part, whole = asked_for(house, ADA), house.ask(PEOPLE[0])
    released: list[Subject] = []
    cancelling = Cancelling(house.ledger, released.extend)
    cancelling.cancel("shop", whole)
    assert released == [ADA]
    assert house.worker().run_once() and house.status(part).state is RequestState.COMPLETED
    assert returned(house.ledger, house.targets).people == ()
    assert len(one_request(house.ledger, None, part, whole=True).people) == 1


def test_a_second_reference_is_refused_and_lifts_nothing(house: House) -> None:
    holds, name = Holds(house.ledger), house.ledger.keyring.pseudonyms.of(ADA)
    holds.place(ADA, "case 7")
    holds.place(ADA, "case 7")  # changes nothing
    with pytest.raises(Refused, match="already, for case 7: nothing was placed"):
        holds.place(ADA, "case 8")
    with pytest.raises(Refused, match="for case 7: nothing was lifted"):
        holds.lift(name, reference="case 8")
    assert [(pseudonym, reference) for pseudonym, reference, _ in holds.list()] == [(name, "case 7")]
    assert holds.lift(name, reference="case 7") == 0 and holds.lift(name, reference="case 7") is None
    assert [event for event in house.events() if event.startswith("hold.")] == ["hold.placed", "hold.lifted"]


@pytest.mark.parametrize("reference", ["", "  ", "case\n7", "x" * 96, "case\x00"])
def test_a_reference_that_the_trail_cannot_name_is_refused(house: House, reference: str) -> None:
    holds = Holds(house.ledger)
    with pytest.raises(ValueError, match="`reference` must have 1 to 95 printable characters"):
        holds.place(ADA, reference)
    holds.place(ADA, "x" * 95)
    assert house.events() == ["hold.placed"]


def test_lifting_a_hold_and_cancelling_what_it_holds_wait_for_each_other(house: House, monkeypatch: Any) -> None:
    request, holds = house.ask(PEOPLE[0]), Holds(house.ledger)
    holds.place(ADA, "case 7")
    assert not house.worker().run_once() and house.status(request).state is RequestState.ON_HOLD
    found, find = threading.Event(), cancelling.find

    def slowly(*arguments: Any, **named: Any) -> Any:
        answer = find(*arguments, **named)
        found.set()
        time.sleep(0.5)  # while the other one begins
        return answer

    monkeypatch.setattr(cancelling, "find", slowly)
    with ThreadPoolExecutor(1) as pool:
        cancelled = pool.submit(Cancelling(house.ledger, lambda _: None).cancel, "shop", request)
        assert found.wait(30)
        assert holds.lift(house.ledger.keyring.pseudonyms.of(ADA)) == 0
        cancelled.result()
    assert house.status(request).state is RequestState.CANCELLED
