"""Coupled negative sampling: a draw depends on its own user, item, epoch and position, and on nothing else."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.ranking import Rows
from unlearn.streams import integers

_ATTEMPTS = 16


def uniform_negatives(graph: BipartiteGraph, records: Tensor, per_record: int, *, seed: int, epoch: int) -> Tensor:
    """Item rows [r, per_record], uniform over the items their user has not interacted with.

    Each draw is keyed by (seed, epoch, user, item, position, attempt), so that without one user everybody else's
    negatives are bit-identical. A draw that hits a positive or a forgotten item is repeated; after 16 attempts
    (a user who has nearly everything) it stands, or makes way for the next item that is not forgotten.
    """
    rows, cols = graph.rows[records].cpu().numpy(), graph.cols[records].cpu().numpy()
    users, items = graph.user_keys[rows][:, None], graph.item_keys[cols][:, None]
    positions = np.arange(per_record)[None, :]
    draws = integers(seed, "negatives", graph.n_items, epoch, users, items, positions, 0)
    observed = (graph.rows * graph.n_items + graph.cols).cpu().numpy()  # ascending: canonical order
    gone = graph.item_keys == 0
    for attempt in range(1, _ATTEMPTS):
        wanted = rows[:, None] * graph.n_items + draws
        found = np.minimum(np.searchsorted(observed, wanted), len(observed) - 1)
        again = (observed[found] == wanted) | gone[draws]
        if not again.any():
            break
        at = np.nonzero(again)
        draws[at] = integers(
            seed, "negatives", graph.n_items, epoch, users[at[0], 0], items[at[0], 0], positions[0, at[1]], attempt
        )
    return torch.from_numpy(_remaining(draws, gone)).to(graph.rows.device)


def shared_negatives(graph: BipartiteGraph, count: int, *, seed: int, epoch: int, batch: int) -> Tensor:
    """Item rows [count], uniform over the remaining items, common to a batch and independent of its members.

    None where no item remains.
    """
    gone = graph.item_keys == 0
    draws = integers(seed, "shared", graph.n_items, epoch, batch, np.arange(0 if gone.all() else count), 0)
    for attempt in range(1, _ATTEMPTS):
        again = np.flatnonzero(gone[draws])
        if not len(again):
            break
        draws[again] = integers(seed, "shared", graph.n_items, epoch, batch, again, attempt)
    return torch.from_numpy(_remaining(draws, gone)).to(graph.rows.device)


def _remaining(draws: Rows, gone: NDArray[np.bool_]) -> Rows:
    """The draws, with the next item that is not forgotten, in a circle, for one that is: its row stays zero."""
    left = np.flatnonzero(~gone)
    still = gone[draws]
    if still.any() and len(left):
        draws[still] = left[np.searchsorted(left, draws[still]) % len(left)]
    return draws
