"""Ids as they are typed: with commas between, as a line of CSV has them."""

from __future__ import annotations

import csv
from collections.abc import Iterable

QUOTED = "an id with a comma or a quote in it stands in double quotes, as in a line of CSV: '\"Doe, Jane\",42'"


def separated(text: str) -> list[str]:
    """The ids of one text; blanks after a comma are none of theirs.

    Raises:
        ValueError: a quote is not closed, or something follows it.
    """
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise ValueError(f"{QUOTED} (got {text!r}: {error})") from error


def typed(ids: Iterable[object]) -> str:
    """Ids in a line, as `separated` reads them again."""
    return ", ".join(_quoted(str(id)) for id in ids)


def _quoted(text: str) -> str:
    plain = text == text.strip() and not set(',"\r\n') & set(text)
    return text if plain else '"' + text.replace('"', '""') + '"'


def pairs(option: str, form: str, texts: Iterable[str] | None, problems: list[str]) -> list[tuple[str, str]]:
    """What was given to an option that takes two ids at a time; whatever is none is added to `problems`."""
    found: list[tuple[str, str]] = []
    for text in texts or ():
        try:
            first, second = separated(text)
            found.append((first, second))
        except ValueError:
            problems.append(f"`{option}` must be {form} (got {text!r}); {QUOTED}")
    return found
