"""A worker that is killed at a given moment, and a ledger for the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unlearn.target.crashes import die
from unlearn.requests import worker
from unlearn.requests.queue import Queue


class Boundary:
    """Kills the process at the boundary of that number: there is one after each call of what is `watched`."""

    def __init__(self, number: int) -> None:
        self.left = number

    def watched(self, function: Any) -> Any:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            if self.left == 0:
                die()
            self.left -= 1
            return result

        return wrapped

    def arm(self) -> None:
        for name in ("perform", "record"):
            setattr(worker, name, self.watched(getattr(worker, name)))
        for name in ("claim", "check_holds", "close"):
            setattr(Queue, name, self.watched(getattr(Queue, name)))


def fresh(kind: str, request: pytest.FixtureRequest, folder: Path, template: Path, number: int) -> str:
    if kind == "sqlite":
        path = folder / f"ledger{number}.db"
        path.write_bytes(template.read_bytes())
        return f"sqlite:///{path}"
    return request.getfixturevalue("empty_postgresql")()
