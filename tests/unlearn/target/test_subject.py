"""Whom a request names: persons, and single interactions of theirs, each with one spelling and one pseudonym."""

from __future__ import annotations

import pytest

from unlearn.target import Pseudonyms, Subject, interaction

ADA = Subject("email", "ada@example.org")
TYPES = frozenset({"email", "interaction"})


@pytest.mark.parametrize(
    "value",
    [
        "", "no JSON", "[]", '["a", "b"]', '["a", "b", 3]', '{"a": "b"}', "null", '["a","b","c","d"]', '"abc"',
        '["a","\\ud800","c"]', '{"a":1,"b":2,"c":3}',
    ],
)  # fmt: skip
def test_what_names_no_interaction_is_nobodys(value: str) -> None:
    found = Subject("interaction", value)
    assert found.part is None and found.value == value and not found.known_by({"a", "interaction"})


def test_an_interaction_says_whose_it_is() -> None:
    person = Subject("email", 'a "quoted", Ünïcode id')
    made = interaction(person, "item [1]")
    assert made.part == (person, "item [1]") and person.part is None and "quoted" not in repr(made)


@pytest.mark.parametrize(
    "value",
    [
        '["email","ada@example.org","\u00fc"]', ' [ "email", "ada@example.org",\n"\u00fc" ]',
        '["email","ada\\u0040example.org","\\u00FC"]',
    ],
)  # fmt: skip
def test_however_an_interaction_is_written_it_is_the_same_one(value: str) -> None:
    names = Pseudonyms(bytes(32))
    written, made = Subject("interaction", value), interaction(ADA, "\u00fc")
    assert written == made and names.of(written) == names.of(made)
    assert Subject("email", value).value == value


def test_who_can_tell_whom_it_names() -> None:
    assert ADA.known_by({"email"}) and not ADA.known_by({"phone"}) and not ADA.known_by({"interaction"})
    one = interaction(ADA, "book")
    assert one.known_by(TYPES) and not one.known_by({"interaction", "phone"}) and not one.known_by({"email"})
    assert not interaction(one, "book").known_by(TYPES)
