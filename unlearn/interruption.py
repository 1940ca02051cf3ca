"""What Ctrl-C does: training called from Python returns what it has reached; nothing half done passes for done.

SIGTERM, which ends a process without a word to it otherwise, ends a command alike, and then the process as it would.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM in a command.

    It is no KeyboardInterrupt, which training would catch to return what it has reached.
    """


@contextmanager
def ending() -> Generator[None]:
    """Meanwhile Ctrl-C raises `Interrupted`, so that no code below that catches KeyboardInterrupt goes on.

    SIGTERM does so, too, for what cleans up behind itself; where that is done, the process gets it once more.
    """
    terminated = False

    def end(number: int, _: object) -> None:
        nonlocal terminated
        terminated |= number == signal.SIGTERM
        raise Interrupted

    try:
        with _handled_by(end), _handled_by(end, signal.SIGTERM):
            yield
    finally:
        if terminated:
            signal.raise_signal(signal.SIGTERM)


@contextmanager
def answered() -> Generator[None]:
    """Within `ending`, Ctrl-C raises KeyboardInterrupt again: for code that catches it and says how far it came."""
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def whole_or_not_at_all() -> Generator[None]:
    """Around training: where it catches an interrupt and returns early, that must not pass for a trained model.

    Raises:
        KeyboardInterrupt: at the end, if there was one meanwhile.
    """
    interrupted = False

    def note(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    with _handled_by(note):
        yield
    if interrupted:
        raise KeyboardInterrupt


@contextmanager
def asked_to_end() -> Generator[Callable[[], bool]]:
    """Gives a function that says whether there was a Ctrl-C, for a search that then ends with what it has.

    A flag and no exception, because training within the search would catch a KeyboardInterrupt as its own. A second
    Ctrl-C does what it did before.
    """
    before = signal.getsignal(signal.SIGINT)
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    with _handled_by(note):
        yield lambda: asked


@contextmanager
def undisturbed() -> Generator[None]:
    """Ctrl-C is held back and raised at the end: around work that is quick, and worth nothing half done."""
    heard = False

    def note(*_: object) -> None:
        nonlocal heard
        heard = True

    with _handled_by(note):
        yield
    if heard:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def _handled_by(handler: Callable[..., Any], number: signal.Signals = signal.SIGINT) -> Generator[None]:
    """Meanwhile the signal goes to `handler`; does nothing outside the main thread, where no signals arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
