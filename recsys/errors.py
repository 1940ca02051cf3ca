"""Errors of `recsys`: each lists every problem at once, then the remedy."""

from __future__ import annotations

from collections.abc import Sequence


class UnknownIds(KeyError):
    """Ids were asked for that the data does not hold (never held, or already forgotten)."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which turns a message of several lines into one escaped line.
        return str(self.args[0]) if self.args else ""


class InvalidInteractions(ValueError):
    """The input cannot be read as interactions; `problems` lists everything that the message does, with rows."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
