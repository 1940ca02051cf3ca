"""Errors of `recsys`: each lists every problem at once, then the remedy."""

from __future__ import annotations

from typing import ClassVar

from unlearn.forget import UnknownIds as UnknownIds
from unlearn.invalid import InvalidInput


class InvalidInteractions(InvalidInput):
    """The input cannot be read as interactions."""

    reads_as: ClassVar[str] = "interactions"
