"""The units through which the most messages pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from unlearn.invalid import require
from unlearn.methods.base import MissingRequirement
from unlearn.problem import Problem
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room

Floats = NDArray[np.float64]
Edges = NDArray[np.int64]


@register
@dataclass(frozen=True)
class Hubs(Ranking):
    """The units of the highest PageRank, or degree, in the graph that messages pass along, or in that of ties alone.

    Page et al., "The PageRank citation ranking", 1999. The message graph has users and items as nodes and records as
    edges, and ties where the problem has them. Of an interaction or a tie both ends' scores are multiplied. What this
    says is where messages pass; scores of influence in a social graph are another selector, which a package may
    register under its own name.

    Args:
        over: "ties" ranks users by who they are tied to, and an item by nobody.
        by: "degree" counts edges.
        damping: the share of a node's rank that goes on to its neighbours.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
    """

    name = "hubs"
    over: Literal["messages", "ties"] = "messages"
    by: Literal["page_rank", "degree"] = "page_rank"
    damping: float = 0.85

    def __post_init__(self) -> None:
        require(
            self,
            damping=("in [0, 1)", 0 <= self.damping < 1),
        )

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        try:
            users, items = problem.units("user"), problem.units("item")
        except ValueError as error:
            raise MissingRequirement(f"`hubs` needs a problem with users and items: {error}") from error
        records = np.column_stack([users.owners, items.owners + len(users)])
        ties = self._ties(problem)
        edges = ties if self.over == "ties" else np.concatenate([records, ties])
        scores = torch.from_numpy(self._of_nodes(edges, len(users) + len(items)))
        if room.unit in ("user", "item"):
            return scores[room.rows + (len(users) if room.unit == "item" else 0)]
        if room.units.ends is not None:
            return scores[torch.from_numpy(room.units.ends)[room.rows]].prod(1)
        return room.means(scores[torch.from_numpy(records)].prod(1), torch.arange(len(records)))

    def _ties(self, problem: Problem) -> Edges:
        """The users [t, 2] that ties join; none where the problem has no ties and the message graph is asked for."""
        try:
            ends = problem.units("tie").ends
        except ValueError as error:
            if self.over == "ties":
                raise MissingRequirement(f"`hubs:over=ties` needs a problem with ties: {error}") from error
            ends = None
        return np.empty((0, 2), dtype=np.int64) if ends is None else ends

    def _of_nodes(self, edges: Edges, n: int) -> Floats:
        ends = np.concatenate([edges, edges[:, ::-1]]).T
        adjacency = csr_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(n, n))
        if self.by == "degree":
            return np.asarray(adjacency.sum(axis=1)).ravel()
        return page_rank(adjacency, self.damping)


def page_rank(adjacency: csr_array, damping: float) -> Floats:
    """The stationary distribution [n] of a walk that follows a random edge with probability `damping`, else restarts.

    It restarts at a random node with an edge; nodes without one have none of it.
    """
    degrees = np.asarray(adjacency.sum(axis=1)).ravel()
    start = (degrees > 0) / max(int((degrees > 0).sum()), 1)
    spread = csr_array(adjacency.T / np.maximum(degrees, 1.0))
    rank = start
    for _ in range(1000):
        new = damping * (spread @ rank) + (1.0 - damping) * start
        done = np.abs(new - rank).sum() < 1e-12
        rank = new
        if done:
            break
    return rank
