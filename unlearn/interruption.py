"""What Ctrl-C means here: training from Python keeps what it has reached, and nothing half done passes for done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any


class Interrupted(BaseException):
    """Ctrl-C in a command: no KeyboardInterrupt, which training answers with what it has reached."""


@contextmanager
def ending() -> Generator[None]:
    """Ctrl-C raises `Interrupted`, whoever would have answered a KeyboardInterrupt."""

    def end(*_: object) -> None:
        raise Interrupted

    with _heard(end):
        yield


@contextmanager
def answered() -> Generator[None]:
    """Ctrl-C raises KeyboardInterrupt again: for what answers it and tells."""
    with _heard(signal.default_int_handler):
        yield


@contextmanager
def whole_or_not_at_all() -> Generator[None]:
    """Training may answer an interrupt with what it has reached, which must not pass for a trained model.

    Raises:
        KeyboardInterrupt: there was one.
    """
    interrupted = False

    def note(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    with _heard(note):
        yield
    if interrupted:
        raise KeyboardInterrupt


@contextmanager
def asked_to_end() -> Generator[Callable[[], bool]]:
    """Gives a function that says whether there was a Ctrl-C, for a search that then ends with what it has.

    A flag and no exception, because training on the way takes a KeyboardInterrupt for its own end. A second time it is
    heard as before.
    """
    before = signal.getsignal(signal.SIGINT)
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    with _heard(note):
        yield lambda: asked


@contextmanager
def undisturbed() -> Generator[None]:
    """Ctrl-C is heard at the end: around what is quick, and worth nothing half done."""
    heard = False

    def note(*_: object) -> None:
        nonlocal heard
        heard = True

    with _heard(note):
        yield
    if heard:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def _heard(handler: Callable[..., Any]) -> Generator[None]:
    """SIGINT goes to `handler`; signals arrive in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
