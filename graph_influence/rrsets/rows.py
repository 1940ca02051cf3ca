"""Rows of 32-bit integers in one array, which can be inverted, extended and rewritten in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from unlearn.compiled import kernel
from unlearn.parallel import in_chunks

T = TypeVar("T")
_FREE = np.int32(-1)  # a place that no row holds
_LOOSE = 1.4  # places for an entry above which rows are worth packing
_LEAST = 8_192  # rows for which a thread is worth having
SPARE = 2  # free places behind each row of an inverted table, beside a sixteenth of it


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Row i is `data[start[i] : start[i] + length[i]]`.

    Rows need not follow each other: one that outgrew its room has moved to the end, which is at `used`. A place that no
    row holds is -1: so what left a row is nowhere else, and a row may grow over free places behind it.

    Shapes:
        start int64 [rows]; length int32 [rows]; data int32 [at least used].
    """

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    data: NDArray[np.int32]
    used: int

    @classmethod
    def empty(cls, count: int = 0) -> Rows:
        """Rows without entries."""
        return cls(np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int32), np.empty(0, dtype=np.int32), 0)

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """Entries of a row, a view."""
        return self.data[self.start[row] : self.start[row] + self.length[row]]

    @property
    def nbytes(self) -> int:
        """Bytes of all three arrays, free places included."""
        return self.start.nbytes + self.length.nbytes + self.data.nbytes

    def copy(self) -> Rows:
        """The same rows in arrays of their own."""
        return Rows(self.start.copy(), self.length.copy(), self.data.copy(), self.used)

    def loose(self, spare: int = 0) -> bool:
        """Whether more places are free than are worth keeping, beside a few `spare` ones a row."""
        return self.used > _LOOSE * (self.length.sum(dtype=np.int64) + spare * len(self))

    def extended(self, length: NDArray[np.int32], data: list[NDArray[np.int32]], threads: int | None = None) -> Rows:
        """These rows and further ones behind them: `length` of each, their entries in blocks."""
        blocks = [self.data[: self.used], *data]
        ends = np.cumsum([len(block) for block in blocks])
        used = int(ends[-1])
        joined = _blank(used)

        def copied(first: int, count: int) -> None:
            here = blocks[first : first + count]
            np.concatenate(here, out=joined[ends[first] - len(here[0]) : ends[first + count - 1]])

        list(in_chunks(copied, len(blocks), chunk=len(blocks), threads=threads))
        start = np.empty(len(self) + len(length), dtype=np.int64)
        start[: len(self)] = self.start
        new = np.cumsum(length, dtype=np.int64, out=start[len(self) :])
        new -= length
        new += self.used
        return Rows(start, np.concatenate([self.length, length]), joined, used)

    def packed(self) -> Rows:
        """The same rows, one behind the other."""
        ends = np.cumsum(self.length, dtype=np.int64)
        used = int(ends[-1]) if len(ends) else 0
        data = _blank(used)
        _gather(self.start, self.length, self.data, data)
        return Rows(ends - self.length, self.length, data, used)

    def inverted(self, columns: int, threads: int | None = None) -> Rows:
        """For each of the values 0 to columns - 1 the rows that hold it, ascending, with a little room behind each."""

        def counted(first: int, count: int) -> tuple[int, NDArray[np.int64]]:
            here = slice(first, first + count)
            return first, _count(self.start[here], self.length[here], self.data, columns)

        def scattered(first: int, count: int) -> None:
            here = slice(first, first + count)
            _scatter(self.start[here], self.length[here], self.data, first, places[first], data)

        def in_threads(work: Callable[[int, int], T]) -> list[T]:
            # One chunk a thread: each has a counter for every value.
            count = max(len(self), 1)
            return list(in_chunks(work, count, chunk=count, least=_LEAST, threads=threads))

        counts = dict(in_threads(counted))
        length = np.sum(list(counts.values()), axis=0)
        room = length + length // 16 + SPARE
        ends = np.cumsum(room)
        used = int(ends[-1])
        data = _blank(used)
        # Where each chunk writes the first of its rows.
        places, place = {}, ends - room
        for first, count in counts.items():
            places[first], place = place.copy(), place + count
        in_threads(scattered)
        _clear(place, ends, data)
        return Rows(ends - room, length.astype(np.int32), data, used)


def _blank(used: int) -> NDArray[np.int32]:
    """Data to be filled up to `used`, with some room behind that."""
    data = np.empty(used + used // 16, dtype=np.int32)
    data[used:] = _FREE
    return data


@kernel
def copy(source: NDArray[np.int32], target: NDArray[np.int32]) -> None:
    """Writes the source over the target. (Numba takes seconds to compile a slice that is set to a slice.)"""
    for k in range(len(source)):
        target[k] = source[k]


@kernel
def roomier(data: NDArray[np.int32], used: int, more: int) -> NDArray[np.int32]:
    """The data with room for `more` entries behind the used ones: the same array where it has that."""
    if used + more <= len(data):
        return data
    larger = np.empty(used + more + used // 8, dtype=np.int32)
    copy(data[:used], larger)
    larger[used:] = _FREE
    return larger


@kernel
def _gather(
    start: NDArray[np.int64], length: NDArray[np.int32], data: NDArray[np.int32], entries: NDArray[np.int32]
) -> None:
    """Writes all rows one behind the other."""
    written = 0
    for row in range(len(start)):
        copy(data[start[row] : start[row] + length[row]], entries[written:])
        written += length[row]


@kernel
def _count(
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    columns: int,
) -> NDArray[np.int64]:
    """How often each value occurs, [columns]."""
    counts = np.zeros(columns, dtype=np.int64)
    for row in range(len(start)):
        for place in range(start[row], start[row] + length[row]):
            counts[data[place]] += 1
    return counts


@kernel
def _scatter(
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    first: int,
    places: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Writes each row's number, from `first` on, to the place of each of its values, which moves on by one."""
    for row in range(len(start)):
        for place in range(start[row], start[row] + length[row]):
            value = data[place]
            out[places[value]] = first + row
            places[value] += 1


@kernel
def _clear(first: NDArray[np.int64], last: NDArray[np.int64], data: NDArray[np.int32]) -> None:
    for row in range(len(first)):
        data[first[row] : last[row]] = _FREE


class Incidence(NamedTuple):
    """Which nodes are in which sets, by set and by node, as compiled loops take it: the arrays of two `Rows`."""

    set_start: NDArray[np.int64]
    set_length: NDArray[np.int32]
    members: NDArray[np.int32]
    node_start: NDArray[np.int64]
    node_length: NDArray[np.int32]
    sets: NDArray[np.int32]


@kernel
def mark_held(
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    rows: NDArray[np.int64],
    hit: NDArray[np.bool_],
) -> None:
    """Marks what stands in any of the rows."""
    for row in rows:
        for place in range(start[row], start[row] + length[row]):
            hit[data[place]] = True
