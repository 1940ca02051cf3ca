"""Fill lists whose candidates are all taken, by handing candidates on from list to list."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unlearn.compiled import kernel


@kernel
def complete(
    lists: NDArray[np.int32],
    length: NDArray[np.int64],
    ptr: NDArray[np.int64],
    candidate: NDArray[np.int32],
    owner: NDArray[np.int32],
    gain: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Invites further people along augmenting paths until the lists hold as many as they can; returns whom.

    A list with room takes a candidate from another list, that one takes one from a third, and the last takes somebody
    whom nobody has invited, of several the one of the largest gain. Everybody who was invited stays invited (Kuhn,
    "The Hungarian method for the assignment problem", 1955; without weights).

    Args:
        lists, length: rows invited by each active participant [d, k], the first `length` of each; both are changed.
        ptr, candidate: as in `Participants`.
        owner: the list that holds each row, -1 for nobody's, [n]; changed.
        gain: of each row, [n].
    """
    d, k = lists.shape
    added = np.empty(d * k, dtype=np.int32)
    count = 0
    closed = np.zeros(d, dtype=np.bool_)  # from here no path leads to anybody: it never will
    seen = np.full(d, -1, dtype=np.int64)
    giver, handed, queue = np.empty(d, dtype=np.int64), np.empty(d, dtype=np.int32), np.empty(d, dtype=np.int64)
    search = -1
    for start in range(d):
        while length[start] < k and not closed[start]:
            search += 1
            queue[0], seen[start], giver[start] = start, search, -1
            head, used = 0, 1
            last, found = -1, np.int32(-1)
            while head < used and found < 0:
                u = queue[head]
                head += 1
                for place in range(ptr[u], ptr[u + 1]):
                    row = candidate[place]
                    other = owner[row]
                    if other < 0:
                        if found < 0 or gain[row] > gain[found]:
                            last, found = u, row
                    elif seen[other] != search and not closed[other]:
                        # `u` would take the row from `other`, which then has room for another.
                        seen[other], giver[other], handed[other] = search, u, row
                        queue[used] = other
                        used += 1
            if found < 0:
                closed[queue[:used]] = True
                break
            added[count] = found
            count += 1
            u, row = last, found
            while u != start:
                place = 0
                while lists[u, place] != handed[u]:
                    place += 1
                lists[u, place], owner[row] = row, u
                u, row = giver[u], handed[u]
            lists[start, length[start]], owner[row] = row, start
            length[start] += 1
    return added[:count]
