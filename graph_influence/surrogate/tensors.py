"""A social graph as tensors: what surrogates compute on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graph_influence.graph import SocialGraph


@dataclass(frozen=True, eq=False)
class TensorGraph:
    """Arcs of a social graph on a device, by the same ids; tombstones are arcs of probability 0.

    Shapes:
        source, target int64 [m]; probability float64 [m]; there bool [n]: nodes that are no tombstones; paired, reverse
        int64 [k]: the arcs whose reverse is there, too, and that reverse.
    """

    source: Tensor
    target: Tensor
    probability: Tensor
    there: Tensor
    paired: Tensor
    reverse: Tensor

    @classmethod
    def of(cls, graph: SocialGraph, device: torch.device | str = "cpu") -> TensorGraph:
        """A graph's arcs as tensors."""
        source, target = graph.source.astype(np.int64), graph.target.astype(np.int64)
        reverse = _reverse(source, target, graph.num_nodes, graph.alive)
        paired = np.flatnonzero(reverse >= 0)
        arrays = (source, target, graph.probability, graph.nodes.alive, paired, reverse[paired])
        return cls(*(torch.tensor(array, device=device) for array in arrays))

    def to(self, device: torch.device | str) -> TensorGraph:
        """The same tensors on a device."""
        return TensorGraph(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    @property
    def num_nodes(self) -> int:
        """Number of node rows, tombstones included."""
        return len(self.there)

    def seeds(self, *sets: NDArray[np.int64]) -> Tensor:
        """Indicators of seed sets, given by rows: float64 [b, n]."""
        marked = self.probability.new_zeros(len(sets), self.num_nodes)
        for row, one in zip(marked, sets, strict=True):
            row[torch.tensor(one, device=row.device)] = 1.0
        return marked


def _reverse(
    source: NDArray[np.int64], target: NDArray[np.int64], n: int, alive: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Of every arc the one from its target to its source, [m]; -1 where there is none."""
    reverse = np.full(len(source), -1, dtype=np.int64)
    there = np.flatnonzero(alive)
    key = target[there] * n + source[there]
    order = np.argsort(key)
    wanted = source[there] * n + target[there]
    place = np.minimum(np.searchsorted(key, wanted, sorter=order), len(there) - 1)
    found = key[order[place]] == wanted if len(there) else np.zeros(0, dtype=np.bool_)
    reverse[there[found]] = there[order[place[found]]]
    return reverse
