"""A hold on a person holds what is asked for of them in part, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unlearn.requests.submissions import submission
from tests.unlearn.requests.test_worker import House
from tests.unlearn.target.example import KIND
from tests.unlearn.target.test_example import PEOPLE
from unlearn.requests.holds import Holds
from unlearn.requests.ledger import Ledger
from unlearn.requests.states import RequestState
from unlearn.target import Subject, interaction


@pytest.fixture
def house(ledger: Ledger, tmp_path: Path) -> House:
    return House(ledger, tmp_path / "house")


def test_a_hold_on_a_person_holds_their_single_interactions_too(house: House) -> None:
    person = Subject(KIND, PEOPLE[0])
    request = house.intake.submit(submission(subjects=(interaction(person, "book"),))).subject_request_id
    holds, of = Holds(house.ledger), house.ledger.keyring.pseudonyms.of
    holds.place(person, "case 7")
    worker = house.worker()
    assert worker.run_once() and house.status(request).state is RequestState.ON_HOLD
    assert holds.lift(of(Subject(KIND, PEOPLE[1]))) == 0
    assert holds.lift(of(person)) == 1
    assert worker.run_once() and house.status(request).state is RequestState.COMPLETED


@pytest.mark.parametrize(
    "value", ["", "no JSON", "[]", '["a", "b"]', '["a", "b", 3]', '{"a": "b"}', "null", '["a","b","c","d"]']
)
def test_what_names_no_interaction_is_nobodys(value: str) -> None:
    assert Subject("interaction", value).part is None


def test_an_interaction_says_whose_it_is() -> None:
    person = Subject(KIND, 'a "quoted", Ünïcode id')
    made = interaction(person, "item [1]")
    assert made.part == (person, "item [1]") and person.part is None and "quoted" not in repr(made)
