"""The units through which the most messages pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from unlearn.methods.base import MissingRequirement
from unlearn.problem import Problem
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room


@register
@dataclass(frozen=True)
class Hubs(Ranking):
    """The units of the highest PageRank in the graph of users and items whose edges are the records.

    Page et al., "The PageRank citation ranking", 1999. Both ends' ranks multiply to that of an interaction. What it
    says is where messages pass in a graph model; scores of influence in a social graph are another selector, which a
    package may register under its own name.

    Args:
        damping: the share of a node's rank that goes on to its neighbours.
    """

    name = "hubs"
    damping: float = 0.85

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        try:
            users, items = problem.units("user"), problem.units("item")
        except ValueError as error:
            raise MissingRequirement(f"`hubs` needs a problem with users and items: {error}") from error
        rows, columns = users.owners, items.owners + len(users)
        n = len(users) + len(items)
        ends = np.concatenate([rows, columns]), np.concatenate([columns, rows])
        rank = torch.from_numpy(page_rank(csr_array((np.ones(2 * len(rows)), ends), shape=(n, n)), self.damping))
        if room.unit in ("user", "item"):
            return rank[room.rows + (len(users) if room.unit == "item" else 0)]
        of_records = rank[torch.from_numpy(rows)] * rank[torch.from_numpy(columns)]
        return room.means(of_records, torch.arange(len(rows)))


def page_rank(adjacency: csr_array, damping: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The stationary distribution [n] of a walk that follows a random edge with probability `damping`, else restarts.

    It restarts at a random node with an edge; nodes without one have none of it.
    """
    degrees = np.asarray(adjacency.sum(axis=1)).ravel()
    start = (degrees > 0) / (degrees > 0).sum()
    spread = csr_array(adjacency.T / np.maximum(degrees, 1.0))
    rank = start
    for _ in range(1000):
        new = damping * (spread @ rank) + (1.0 - damping) * start
        done = np.abs(new - rank).sum() < 1e-12
        rank = new
        if done:
            break
    return rank
