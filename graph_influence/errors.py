"""Errors of `graph_influence`: each lists every problem at once, then the remedy."""

from __future__ import annotations

from typing import ClassVar

from unlearn.forget import UnknownIds as UnknownIds
from unlearn.invalid import InvalidInput


class InvalidGraph(InvalidInput):
    """The input cannot be read as a social graph."""

    reads_as: ClassVar[str] = "a social graph"


class InvalidSeeds(InvalidInput):
    """The input cannot be read as seeds of a cascade."""

    reads_as: ClassVar[str] = "seeds"


class InvalidRequest(InvalidInput):
    """Nobody can be selected this way."""

    reads_as: ClassVar[str] = "a request for seeds"


class InvalidBlocking(InvalidInput):
    """Nothing can be blocked this way."""

    reads_as: ClassVar[str] = "a request to block"
