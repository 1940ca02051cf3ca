"""Standard output and error that may refuse what is said: the work goes on, and how it ends is decided at its end.

A reader that leaves (`| head`) or a full disk would otherwise end a command in the middle of its output, before files
are written that were asked for, too.

What others wrote, ids and certificates say, reaches a terminal as text: what that would obey is written out, for it may
move back and say something else in the place of what was said.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STYLE = re.compile(r"(\x1b\[[\d;]*m)")  # colours and weights, which tables are drawn with


def visible(text: str) -> str:
    """The text with every control character but tabs and line ends as Python writes it."""
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)


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


class Visible(Outlet):
    """One in which nothing but styles steers a terminal."""

    def write(self, text: str) -> int:
        """Write it, or lose it; all of it counts as written."""
        super().write("".join(part if place % 2 else visible(part) for place, part in enumerate(_STYLE.split(text))))
        return len(text)


@contextmanager
def outlets() -> Generator[list[Outlet]]:
    """Standard output and standard error as outlets, those that there are; on the latter progress moves about."""
    out = None if sys.stdout is None else Visible(sys.stdout)  # a closed one is None
    err = None if sys.stderr is None else Outlet(sys.stderr)
    with redirect_stdout(cast(Any, out)), redirect_stderr(cast(Any, err)):
        there = [one for one in (out, err) if one is not None]
        try:
            yield there
        finally:
            for one in there:
                one.flush()
