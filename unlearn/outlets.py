"""Standard output and error that may refuse what is said: the work goes on, and how it ends is decided at its end.

A reader that leaves (`| head`) or a full disk would otherwise end a command in the middle of its output, before files
are written that were asked for, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast


class Outlet:
    """A text stream that takes everything; `refused` is why the one below it took something no more."""

    def __init__(self, below: TextIO) -> None:
        self._below = below
        self.refused: OSError | None = None

    def write(self, text: str) -> int:
        """Write it, or lose it."""
        if self.refused is None:
            try:
                return self._below.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write them, or lose them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Have it out, or lose it."""
        if self.refused is None:
            try:
                self._below.flush()
            except OSError as error:
                self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def _give_up(self, error: OSError) -> None:
        self.refused = error
        # What it still holds would be refused a second time when the interpreter ends.
        with suppress(OSError, ValueError):  # a stream of a test has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._below.fileno())
            os.close(nowhere)
            self._below.flush()


@contextmanager
def outlets() -> Generator[list[Outlet]]:
    """Standard output and standard error as outlets, those that there are."""
    out, err = (Outlet(one) if one is not None else None for one in (sys.stdout, sys.stderr))  # a closed one is None
    with redirect_stdout(cast(Any, out)), redirect_stderr(cast(Any, err)):
        there = [one for one in (out, err) if one is not None]
        try:
            yield there
        finally:
            for one in there:
                one.flush()
