"""Input that cannot be used: every problem of it is collected before any is raised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_SHOWN = 5


class InvalidInput(ValueError):
    """The input cannot be used; `problems` lists everything that the message does, with rows where there are any."""

    reads_as: ClassVar[str] = "ids"

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class Problems:
    """Problems of one input, in the order found; `raise_any` raises them together, as an `error`."""

    def __init__(self, source: str, error: type[InvalidInput]) -> None:
        self.source = source
        self.error = error
        self.found: list[str] = []

    def add(self, text: str) -> None:
        """A problem of the whole input: what was required, what came, the remedy."""
        self.found.append(text)

    def rows(self, bad: NDArray[np.bool_], index: pd.Index[Any], required: str, remedy: str) -> None:
        """A problem of some rows (mask [n] over `index`, whose labels and name say where); nothing when none is bad."""
        if not bad.any():
            return
        labels: list[Any] = index[bad].tolist()
        unit = index.name if isinstance(index.name, str) else "row"
        where = ", ".join(str(label) for label in labels[:_SHOWN]) + (", ..." if len(labels) > _SHOWN else "")
        self.found.append(f"{required} ({len(labels)} bad, {unit} {where}); {remedy}")

    def raise_any(self) -> None:
        """Raises: `error` listing all problems, when there are any."""
        if self.found:
            self.fail()

    def fail(self) -> NoReturn:
        """Raises: `error` listing all problems so far."""
        message = "\n  - ".join([f"{self.source} cannot be read as {self.error.reads_as}:", *self.found])
        raise self.error(message, self.found)
