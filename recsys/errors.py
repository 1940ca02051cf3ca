"""Errors of `recsys`: each lists every problem at once, then the remedy."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn.forget import UnknownIds as UnknownIds


class InvalidInteractions(ValueError):
    """The input cannot be read as interactions; `problems` lists everything that the message does, with rows."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
