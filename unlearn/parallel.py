"""Runs in chunks on several threads: kernels hold no interpreter lock, so threads are enough."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

from numba.core import config
from tqdm import tqdm

T = TypeVar("T")
_AHEAD = 4  # chunks a thread that are begun before their turn, so that results of no more are held
_at_work = threading.local()  # `given_up`: whether nobody waits any more for what this thread works on


def in_chunks(
    work: Callable[[int, int], T],
    runs: int,
    *,
    chunk: int,
    least: int = 1,
    threads: int | None = None,
    progress: bool = False,
) -> Iterator[T]:
    """What `work(first, count)` gives for runs first to first + count - 1, chunk after chunk, in their order.

    Chunks are short enough that an interrupt ends the work between two of them, or where `work` calls `go_on`, and not
    shorter than `least`, below which a further thread costs more than it saves. By default there are as many threads
    as numba would use. `progress` shows a bar, on a terminal only.
    """
    threads = int(config.NUMBA_NUM_THREADS) if threads is None else threads  # pyright: ignore[reportAttributeAccessIssue]
    size = max(least, min(chunk, -(-runs // threads)))
    parts = [(first, min(size, runs - first)) for first in range(0, runs, size)]
    results = _each(work, parts, threads)
    if not progress:  # a bar that is not shown still takes longer than a small chunk
        yield from results
        return
    with tqdm(total=runs, unit="run", leave=False, disable=None) as bar:
        for done, (_, count) in zip(results, parts, strict=True):
            bar.update(count)
            yield done


def _each(work: Callable[[int, int], T], parts: list[tuple[int, int]], threads: int) -> Iterator[T]:
    if threads == 1 or len(parts) == 1:
        yield from (work(*part) for part in parts)
        return
    waiting: deque[Future[T]] = deque()
    given_up = threading.Event()

    def told(first: int, count: int) -> T:
        _at_work.given_up = given_up
        return work(first, count)

    try:
        for part in parts:
            waiting.append(_pool(threads).submit(told, *part))
            if len(waiting) == _AHEAD * threads:
                yield waiting[0].result()
                waiting.popleft()
        while waiting:
            yield waiting[0].result()
            waiting.popleft()
    finally:
        given_up.set()
        for future in waiting:
            future.cancel()
        wait(waiting)  # after an interrupt: nobody writes any more


def go_on() -> None:
    """What work calls now and then whose chunk may take long.

    Raises:
        CancelledError: in a thread, where nobody waits for the chunk any more. (Without threads the interrupt itself
            is raised between two kernels.)
    """
    given_up: threading.Event | None = getattr(_at_work, "given_up", None)
    if given_up is not None and given_up.is_set():
        raise CancelledError


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: to start one takes as long as a small chunk."""
    return ThreadPoolExecutor(threads, thread_name_prefix="unlearn")


# A forked process has none of them.
os.register_at_fork(after_in_child=_pool.cache_clear)
