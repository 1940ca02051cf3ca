"""What there is to choose from, described from its own docstrings: methods, and whatever else is found by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from unlearn.methods.base import method, methods
from unlearn.registry import arguments


def describe(name: str, kind: type) -> dict[str, Any]:
    """Name, first line of the docstring, paper, arguments with type and default."""
    paragraphs = [" ".join(part.split()) for part in (inspect.getdoc(kind) or "").split("\n\n")]
    return {
        "name": name,
        "summary": paragraphs[0],
        "paper": next((found for part in paragraphs if (found := _paper(part)) is not None), None),
        "arguments": [
            {"name": key, "type": inspect.formatannotation(one.annotation), "default": one.default}
            for key, one in arguments(kind).items()
        ],
    }


def described_methods() -> list[dict[str, Any]]:
    """Every registered unlearning method, with the kind of model it works on and what that must have kept."""
    kinds = {name: type(method(name)) for name in methods()}
    return [
        describe(name, kind) | {"works_on": kind.works_on.__name__, "requires": sorted(kind.requires)}
        for name, kind in kinds.items()
    ]


def table(title: str, entries: Iterable[dict[str, Any]]) -> Table:
    """The entries for a terminal."""
    shown = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    for column in ("name", "what it is", "arguments with defaults"):
        shown.add_column(column, overflow="fold")
    for entry in entries:
        lines = [entry["summary"]]
        if (paper := entry["paper"]) and str(paper["title"]) not in entry["summary"]:
            forms = {"title": "{}", "year": "({})", "arxiv": "arXiv {}"}
            lines.append(" ".join(form.format(paper[key]) for key, form in forms.items() if paper[key]))
        if needs := entry.get("requires"):
            lines.append(f"requires {', '.join(needs)}")
        if (kind := entry.get("works_on", "Fitted")) not in ("Problem", "Fitted"):
            lines.append(f"works on: {kind}")
        given = [f"{one['name']}={_short(one['default'])}" for one in entry["arguments"]]
        shown.add_row(entry["name"], "\n".join(lines), "\n".join(given))
    return shown


def _paper(paragraph: str) -> dict[str, Any] | None:
    """Title, year and arXiv id, of a paragraph that has a year or an id with the title."""
    identifier = re.search(r"arXiv[: ]\s*(\d{4}\.\d{4,5})", paragraph)
    title = re.search(r'"([A-Z][^"]{9,})"', paragraph)
    year = re.search(r"\b((?:19|20)\d\d)\b(?!\.\d)", paragraph)
    if identifier is None and (title is None or year is None):
        return None
    return {
        "title": title and title[1],
        "year": year and int(year[1]),
        "arxiv": identifier and identifier[1],
    }


def _short(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
