"""The seconds of a method, without what has nothing to do with it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

from unlearn.methods.base import UnlearnResult

_CALLS, _SECONDS = 5, 1.0  # at most so many calls, and no further one that would take them beyond so long


@contextmanager
def without_collection() -> Generator[None]:
    """No garbage collection inside: a full one takes longer than a fast method."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def timed(serve: Callable[[], UnlearnResult]) -> UnlearnResult:
    """What the first call gives, with the median of the calls' seconds, where one is short enough to be repeated.

    One call of some milliseconds takes up to twice as long as the next: memory that is new to the process, a second
    thread that has to be woken, whatever else the machine does. A retrain of seconds averages that.
    """
    with without_collection():
        result = serve()
        seconds = [result.seconds]
        while len(seconds) < _CALLS and sum(seconds) + seconds[-1] <= _SECONDS:
            seconds.append(serve().seconds)
    return replace(result, seconds=median(seconds))
