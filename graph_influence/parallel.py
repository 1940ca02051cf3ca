"""Runs in chunks on several threads: kernels hold no interpreter lock, so threads are enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from numba.core import config

T = TypeVar("T")


def in_chunks(
    work: Callable[[int, int], T], runs: int, *, chunk: int, least: int = 1, threads: int | None = None
) -> Iterator[T]:
    """What `work(first, count)` gives for runs first to first + count - 1, chunk after chunk, in their order.

    Chunks are short enough that an interrupt ends the work between two of them, and not shorter than `least`, below
    which a further thread costs more than it saves. By default there are as many threads as numba would use.

    Raises:
        ValueError: fewer than one run or thread.
    """
    threads = int(config.NUMBA_NUM_THREADS) if threads is None else threads  # pyright: ignore[reportAttributeAccessIssue]
    if runs < 1 or threads < 1:
        raise ValueError(f"`runs` and `threads` must be at least 1 (got {runs} and {threads})")
    size = max(least, min(chunk, -(-runs // threads)))
    firsts = range(0, runs, size)
    counts = [min(size, runs - first) for first in firsts]
    if threads == 1 or len(firsts) == 1:
        yield from map(work, firsts, counts)
        return
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, first, count) for first, count in zip(firsts, counts, strict=True)]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
