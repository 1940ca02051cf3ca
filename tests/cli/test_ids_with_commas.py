"""Ids that hold commas can be named wherever ids are typed with commas between."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from recsys.data import Interactions, read
from tests.cli.run import SMALL, answer, refusal, unlearn

PEOPLE = [f"Doe, {name}" for name in ("Jane", "John", "Ann", "Bob", "Eve", "Joe")]
TITLES = [f"Title, {word} (19{number})" for word in ("The", "A", "An") for number in (80, 90)]


def written(path: Path, head: tuple[str, str], rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def held(model: Path) -> set[tuple[str, str]]:
    data = read(model / "interactions.parquet")
    assert isinstance(data, Interactions)
    return set(data.frame()[["user", "item"]].itertuples(index=False, name=None))


def test_interactions(tmp_path: Path) -> None:
    pairs = [(user, item) for u, user in enumerate(PEOPLE) for i, item in enumerate(TITLES) if (u + i) % 4]
    table = written(tmp_path / "log.csv", ("user", "item"), pairs)
    answer("train", "--data", table, "--out", tmp_path / "model", *SMALL)
    before = held(tmp_path / "model")
    user, item = gone = min(before)
    asked = ("forget", "--model", tmp_path / "model", "--interaction")
    assert "double quotes" in refusal(2, *asked, f"{user},{item}")
    assert answer(*asked, f'"{user}","{item}"')["interactions_removed"] == 1
    assert before - held(tmp_path / "model") == {gone}


@pytest.fixture
def acquaintances(tmp_path: Path) -> Path:
    around = [(one, other) for k, one in enumerate(PEOPLE) for other in (PEOPLE[k - 1], PEOPLE[k - 2])]
    return written(tmp_path / "ties.csv", ("source", "target"), around)


def test_seeds_and_ties(acquaintances: Path, tmp_path: Path) -> None:
    seeds = ("--seeds", f'"{PEOPLE[0]}", "{PEOPLE[3]}"', "--seeds", f'"{PEOPLE[4]}"')
    found = answer("influence", "simulate", acquaintances, *seeds, "--runs", "10")
    assert found["seeds"] == [PEOPLE[0], PEOPLE[3], PEOPLE[4]]
    tie = f'"{PEOPLE[2]}","{PEOPLE[1]}"'
    told = answer("influence", "remove", acquaintances, "--tie", tie, "--k", "2", "--out", tmp_path / "left.csv")
    assert told["after"]["arcs"] == told["before"]["arcs"] - 1
    with (tmp_path / "left.csv").open(encoding="utf-8", newline="") as file:
        ties = [tuple(row[:2]) for row in csv.reader(file)][1:]
    assert (PEOPLE[2], PEOPLE[1]) not in ties and len(ties) == told["after"]["arcs"]
    assert "`seeds` must name" in refusal(2, "influence", "simulate", acquaintances, "--seeds", ", ")
    assert "double quotes" in refusal(2, "influence", "simulate", acquaintances, "--seeds", f'"{PEOPLE[0]}')


def test_ids_that_begin_as_comments_do_are_read_back(tmp_path: Path) -> None:
    people = ["#jane", "%joe", "ann", "bob"]
    ties = tmp_path / "ties.csv"
    with ties.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([("source", "target"), *((a, b) for a in people for b in people if a != b)])
    told = answer("influence", "remove", ties, "--user", "ann", "--k", "1", "--out", tmp_path / "left.csv")
    again = answer("influence", "simulate", tmp_path / "left.csv", "--seeds", "#jane", "--runs", "10")
    assert told["before"]["arcs"] == 12 and told["after"]["arcs"] == again["arcs"] == 6


def test_seeds_that_were_found_are_shown_as_they_are_typed(acquaintances: Path, tmp_path: Path) -> None:
    found = unlearn("influence", "maximize", acquaintances, "--k", "2").stdout
    (shown,) = [line.partition(": ")[2] for line in found.splitlines() if line.startswith("Seeds")]
    said = answer("influence", "simulate", acquaintances, "--seeds", shown, "--runs", "10")
    assert len(said["seeds"]) == 2 and set(said["seeds"]) <= set(PEOPLE)
