"""A deletion as the encoder sees it, and those that it is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.graph import BipartiteGraph
from recsys.problem import RecommenderProblem
from unlearn.streams import uniforms


@dataclass(frozen=True, eq=False)
class Deletion:
    """The problem without the deleted interactions, and the graph of these alone."""

    remaining: RecommenderProblem
    deleted: BipartiteGraph

    @classmethod
    def of(
        cls, problem: RecommenderProblem, positions: NDArray[np.int64], remaining: RecommenderProblem | None = None
    ) -> Deletion:
        """The interactions at these positions deleted from `problem`, which leaves `remaining`, where that is known."""
        data, dtype, device = problem.data, problem.graph.values.dtype, problem.graph.values.device
        deleted = BipartiteGraph.from_interactions(data.take(positions), dtype=dtype, device=device)
        if remaining is None:
            data = data.take(np.setdiff1d(np.arange(len(data)), positions))
            graph = problem.model.message_graph(data, dtype=dtype, device=device)
            remaining = replace(problem, data=data, graph=graph)
        return cls(remaining, deleted)


def held_out(problem: RecommenderProblem, *, share: float, seed: int) -> Deletion:
    """The deletion by which an encoder is chosen: no other simulated one has an interaction in common with it."""
    return Deletion.of(problem, np.flatnonzero(_draw(problem, seed, 0) < share))


def simulated(problem: RecommenderProblem, *, share: float, seed: int, count: int) -> Iterator[Deletion]:
    """`count` random deletions of that share of the interactions that are not held out."""
    held = _draw(problem, seed, 0) < share
    for number in range(1, count + 1):
        yield Deletion.of(problem, np.flatnonzero((_draw(problem, seed, number) < share) & ~held))


def _draw(problem: RecommenderProblem, seed: int, number: int) -> NDArray[np.float64]:
    """Uniform draws [n_records], keyed by who and what."""
    data = problem.data
    users, items = data.users.keys[data.user_rows()], data.items.keys[data.item_rows()]
    return uniforms(seed, "unlearnrec/deletion", number, users, items)
