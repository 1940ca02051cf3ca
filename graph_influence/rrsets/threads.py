"""Compiled loops that release the interpreter's lock, side by side."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numba

T = TypeVar("T")
_LEAST = 8_192  # rows below which a further thread costs more than it saves


def shares(count: int) -> list[tuple[int, int]]:
    """0 to count - 1 in contiguous shares (first, end), one for each of numba's threads where that pays."""
    number = max(1, min(numba.get_num_threads(), count // _LEAST))
    ends = [count * k // number for k in range(number + 1)]
    return list(pairwise(ends))


def in_threads(task: Callable[[int], T], count: int) -> list[T]:
    """`task(k)` for k from 0 to count - 1, each in a thread of its own; the results in order."""
    if count == 1:
        return [task(0)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(task, range(count)))
