"""What somebody adds to a seed set, over common worlds in which everybody whom the seeds reach is marked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import stream
from graph_influence.diffusion import Diffusion
from graph_influence.diffusion.kernels import LiveArcs, spread
from unlearn.compiled import kernel
from unlearn.parallel import in_chunks

_CHUNK = 256  # worlds between which an interrupt is answered
_ACTIVE = np.uint8(1)


class Worlds:
    """The runs of a diffusion, and who is active in each, uint8 [runs, n].

    A gain is a mean of whole numbers over the same worlds, so gains are exactly submodular, and they depend neither on
    what was evaluated before nor on the number of threads. It costs what the person adds, not what the seeds reach.
    `evaluations` counts them.
    """

    def __init__(self, diffusion: Diffusion) -> None:
        self.diffusion = diffusion
        self.active = np.zeros((diffusion.runs, diffusion.graph.num_nodes), dtype=np.uint8)
        self.evaluations = 0

    def gains(self, rows: NDArray[Any], beyond: NDArray[np.uint8]) -> NDArray[np.float64]:
        """How many each row newly activates, and how many of them are not marked in `beyond` [runs, n]; [rows, 2]."""
        self.evaluations += len(rows)
        return self._reached(rows, beyond, keep=False) / self.diffusion.runs

    def marks(self, row: int) -> NDArray[np.uint8]:
        """Whom the row newly activates in each world, [runs, n]."""
        marked = np.zeros_like(self.active)
        self._reached(np.array([row]), marked, keep=True)
        return marked

    def _reached(self, rows: NDArray[Any], beyond: NDArray[np.uint8], *, keep: bool) -> NDArray[np.int64]:
        asked, key = rows.astype(np.uint32), np.uint64(self.diffusion.seed % 2**64)

        def some(first: int, count: int) -> NDArray[np.int64]:
            counts, part = np.zeros((len(rows), 2), dtype=np.int64), slice(first, first + count)
            _reached(self.diffusion.arcs, key, np.uint64(first), asked, self.active[part], beyond[part], keep, counts)
            return counts

        return np.sum(list(in_chunks(some, self.diffusion.runs, chunk=_CHUNK)), axis=0)


@kernel
def _reached(
    arcs: LiveArcs,
    seed: np.uint64,
    first: np.uint64,
    rows: NDArray[np.uint32],
    active: NDArray[np.uint8],
    beyond: NDArray[np.uint8],
    keep: bool,
    counts: NDArray[np.int64],
) -> None:
    """Adds to counts [rows, 2] over worlds from `first` on; marks in `beyond` whom a row reaches, if that is kept."""
    queue = np.empty(active.shape[1] + 1, dtype=np.uint32)
    for world in range(len(active)):
        key, marks = stream(seed, first + np.uint64(world)), active[world]
        for number in range(len(rows)):
            if marks[rows[number]] == _ACTIVE:
                continue
            queue[0] = rows[number]
            marks[rows[number]] = _ACTIVE
            tail = spread(arcs, key, marks, _ACTIVE, queue, np.uint64(0), np.uint64(1))
            counts[number, 0] += np.int64(tail)
            for place in range(tail):
                reached = queue[place]
                counts[number, 1] += beyond[world, reached] != _ACTIVE
                marks[reached] = np.uint8(0)
                if keep:
                    beyond[world, reached] = _ACTIVE
