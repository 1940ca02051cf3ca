"""Rows of 32-bit integers in one array, which can be inverted, extended and rewritten in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph_influence.rrsets.threads import in_threads, shares
from unlearn.compiled import kernel

_FREE = np.int32(-1)  # a place that no row holds
_LOOSE = 1.4  # places for an entry above which rows are worth packing
SPARE = 2  # free places behind each row of an inverted table, beside a sixteenth of it


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Row i is `data[start[i] : start[i] + length[i]]`.

    Rows need not follow each other: one that outgrew its room has moved to the end. A place below `used` that no row
    holds is -1, so what left a row is nowhere else, and a row may grow over free places behind it. From `used` on,
    `data` is room that was never written.

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

    def loose(self, spare: int = 0) -> bool:
        """Whether more places are free than are worth keeping, beside a few `spare` ones a row."""
        return self.used > _LOOSE * (self.length.sum(dtype=np.int64) + spare * len(self))

    def extended(self, length: NDArray[np.int32], data: list[NDArray[np.int32]]) -> Rows:
        """These rows and further ones behind them: `length` of each, their entries in blocks."""
        total = self.used + int(length.sum(dtype=np.int64))
        start = np.empty(len(self) + len(length), dtype=np.int64)
        start[: len(self)] = self.start
        if len(length):
            np.cumsum(length[:-1], dtype=np.int64, out=start[len(self) + 1 :])
            start[len(self) + 1 :] += self.used
            start[len(self)] = self.used
        joined = np.empty(total + total // 16, dtype=np.int32)
        np.concatenate([self.data[: self.used], *data], out=joined[:total])
        return Rows(start, np.concatenate([self.length, length]), joined, total)

    def packed(self) -> Rows:
        """The same rows, one behind the other."""
        entries = np.empty(int(self.length.sum(dtype=np.int64)), dtype=np.int32)
        _gather(self.start, self.length, self.data, entries)
        return Rows.empty().extended(self.length, [entries])

    def inverted(self, columns: int) -> Rows:
        """For each of the values 0 to columns - 1 the rows that hold it, ascending, with a little room behind each."""
        parts = shares(len(self))
        counts = np.zeros((len(parts), columns), dtype=np.int64)
        in_threads(lambda k: _count(self.start, self.length, self.data, *parts[k], counts[k]), len(parts))
        length = counts.sum(0)
        room = length + length // 16 + SPARE
        ends = np.cumsum(room)
        used = int(ends[-1]) if columns else 0
        start = ends - room
        # Where each part writes the first of its rows.
        places = np.cumsum(counts, axis=0) - counts + start
        data = np.empty(used + used // 16, dtype=np.int32)
        in_threads(lambda k: _scatter(self.start, self.length, self.data, *parts[k], places[k], data), len(parts))
        _clear(start + length, ends, data)
        return Rows(start, length.astype(np.int32), data, used)


@kernel
def roomier(data: NDArray[np.int32], used: int, more: int) -> NDArray[np.int32]:
    """The data with room for `more` entries behind the used ones: the same array where it has that."""
    if used + more <= len(data):
        return data
    larger = np.empty(used + more + used // 8, dtype=np.int32)
    larger[:used] = data[:used]
    return larger


@kernel
def _gather(
    start: NDArray[np.int64], length: NDArray[np.int32], data: NDArray[np.int32], entries: NDArray[np.int32]
) -> None:
    """Writes all rows one behind the other."""
    written = 0
    for row in range(len(start)):
        for place in range(start[row], start[row] + length[row]):
            entries[written] = data[place]
            written += 1


@kernel
def _count(
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    first: int,
    last: int,
    counts: NDArray[np.int64],
) -> None:
    """Adds to `counts` how often each value occurs in rows first to last - 1."""
    for row in range(first, last):
        for place in range(start[row], start[row] + length[row]):
            counts[data[place]] += 1


@kernel
def _scatter(
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    data: NDArray[np.int32],
    first: int,
    last: int,
    places: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Writes each row's number to the place of each of its values, which moves on by one."""
    for row in range(first, last):
        for place in range(start[row], start[row] + length[row]):
            value = data[place]
            out[places[value]] = row
            places[value] += 1


@kernel
def _clear(first: NDArray[np.int64], last: NDArray[np.int64], data: NDArray[np.int32]) -> None:
    for row in range(len(first)):
        data[first[row] : last[row]] = _FREE
