"""What the listings say is what the docstrings and constructors say."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console

from unlearn.catalogue import describe, described_methods, table
from unlearn.methods import IAU, method, methods


@dataclass
class Sample:
    """Does a thing with "quoted words that are no paper".

    Smith and Jones, "A thing that is done to
    everything", 1999. It works in 2001 ways.

    **Differences from the paper:** see "Another paper altogether", 2020, arXiv 2002.00001.
    """

    rate: float = 0.5


@dataclass
class Plain:
    """Ours, with [brackets] in it."""


def test_a_docstring_is_read() -> None:
    assert describe("sample", Sample) == {
        "name": "sample",
        "summary": 'Does a thing with "quoted words that are no paper".',
        "paper": {"title": "A thing that is done to everything", "year": 1999, "arxiv": None},
        "arguments": [{"name": "rate", "type": "float", "default": 0.5}],
    }
    assert describe("plain", Plain)["paper"] is None


def test_every_method_is_described() -> None:
    found = {entry["name"]: entry for entry in described_methods()}
    assert list(found) == methods()
    for name, entry in found.items():
        assert entry["summary"].endswith("."), name
        assert {one["name"]: one["default"] for one in entry["arguments"]} == method(name).arguments()
    assert found["iau"]["paper"] == {
        "title": "Efficient Machine Unlearning via Influence Approximation",
        "year": 2025,
        "arxiv": "2507.23257",
    }
    assert (found["native"]["works_on"], found["iau"]["works_on"]) == ("SelfUnlearning", "Problem")
    assert found["iau"]["requires"] == sorted(IAU.requires)


def test_the_table_shows_it_literally() -> None:
    console = Console(file=io.StringIO(), width=100, markup=False)
    console.print(table("things", [describe("plain", Plain), describe("sample", Sample) | {"requires": ["history.x"]}]))
    shown = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    for part in ("[brackets]", "A thing that is done to everything (1999)", "rate=0.5", "requires history.x"):
        assert part in shown
