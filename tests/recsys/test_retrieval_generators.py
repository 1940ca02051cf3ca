"""Generators: similarity against loops over sets, and a language model's seam with callables that answer for real."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from recsys.retrieval import Evidence, ProfileSimilarity, PromptGenerator, Retrieved, UnreadableAnswer
from tests.recsys.conftest import tiny_interactions
from tests.recsys.item_cosine import cosine

DATA = tiny_interactions(density=0.5)
GIVEN = Retrieved(Evidence(DATA), profile=np.array([1, 4]), candidates=np.array([9, 2, 14, 7, 0]))


def title(item: object) -> str:
    return f"Book {chr(ord('A') + int(str(item)) - 100)}"


def reader(prompt: str) -> str:
    """Rates by title alone, the last of the alphabet best, as a model would: in words around the object."""
    candidates = re.findall(r"^(\d+): Book (.)$", prompt, flags=re.MULTILINE)
    return f"Sure! {json.dumps({number: ord(letter) for number, letter in candidates})} Enjoy."


def test_similarity_ranks_by_the_total_cosine_to_the_profile() -> None:
    totals = [sum(cosine(DATA, int(c), int(h)) for h in GIVEN.profile) for c in GIVEN.candidates]
    expected = sorted(range(5), key=lambda place: -round(totals[place], 12))
    assert ProfileSimilarity()(GIVEN).tolist() == expected
    assert expected != list(range(5))


def test_without_a_profile_candidates_stay_in_order() -> None:
    nothing = Retrieved(GIVEN.evidence, GIVEN.profile[:0], GIVEN.candidates)
    assert ProfileSimilarity()(nothing).tolist() == [0, 1, 2, 3, 4]
    assert "- nothing" in PromptGenerator(complete=reader, describe=title).prompt(nothing)


def test_a_language_models_ratings_rank_the_candidates() -> None:
    generator = PromptGenerator(complete=reader, describe=title)
    assert GIVEN.candidates[generator(GIVEN)].tolist() == [14, 9, 7, 2, 0]
    prompt = generator.prompt(GIVEN)
    assert re.findall(r"^- (.+)$", prompt, flags=re.MULTILINE) == ["Book B", "Book E"]
    assert not re.search(r"\b1\d\d\b(?! \(very much\))", prompt)  # the ids are 100 to 114
    equal = PromptGenerator(complete=lambda _: '{"1": 5, "2": 5, "3": 6, "4": 5, "5": 5}', describe=title)
    assert equal(GIVEN).tolist() == [2, 0, 1, 3, 4]


def taking_turns(answers: list[str]) -> tuple[Callable[[str], str], Iterator[str]]:
    left = iter(answers)
    return (lambda _: next(left)), left


GOOD = '{"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}'
BAD = [
    "",
    "no",
    "} {",
    "{}",
    '{"1": 1}',
    GOOD.replace("5}", '5, "6": 6}'),
    GOOD.replace(": 3", ": null"),
    GOOD.replace(": 3", ": NaN"),
    GOOD.replace("1,", "1"),
]


@pytest.mark.parametrize("bad", BAD)
def test_an_unreadable_answer_is_asked_for_again(bad: str) -> None:
    complete, left = taking_turns([bad, GOOD, "never asked"])
    assert PromptGenerator(complete=complete, describe=title)(GIVEN).tolist() == [4, 3, 2, 1, 0]
    assert list(left) == ["never asked"]


def test_when_no_answer_can_be_read_the_fallback_ranks_or_it_is_an_error() -> None:
    complete, left = taking_turns(["Book B, of course"] * 3)
    with pytest.raises(UnreadableAnswer, match="rates each of 5 candidates once") as caught:
        PromptGenerator(complete=complete, describe=title, attempts=2)(GIVEN)
    assert "Book" not in str(caught.value) and len(list(left)) == 1
    backed = PromptGenerator(complete=lambda _: "no", describe=title, attempts=1, fallback=ProfileSimilarity())
    assert backed(GIVEN).tolist() == ProfileSimilarity()(GIVEN).tolist()
    with pytest.raises(ValueError, match="`attempts` must be at least 1"):
        PromptGenerator(complete=reader, describe=title, attempts=0)


def test_errors_of_the_client_are_its_own() -> None:
    def offline(prompt: str) -> str:
        raise ConnectionError("offline")

    with pytest.raises(ConnectionError):
        PromptGenerator(complete=offline, describe=title, fallback=ProfileSimilarity())(GIVEN)
