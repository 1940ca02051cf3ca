"""The spread of a surrogate as a function of how much of each arc or node is kept."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from graph_influence.outbreak import Outbreak
from graph_influence.surrogate import Surrogate, TensorGraph


class Relaxation:
    """sigma(r) for retention r in [0, 1] of each unit [k]: 1 keeps it, 0 removes it.

    Of an arc that is kept with probability r it is the expectation, exactly if the surrogate's spread is; of a node,
    likewise, who can be activated with probability r.
    """

    def __init__(self, surrogate: Surrogate, outbreak: Outbreak) -> None:
        self.graph = TensorGraph.of(outbreak.graph, surrogate.device)
        self.surrogate = surrogate
        self._arcs = outbreak.unit == "arcs"
        self._seeds = self.graph.seeds(outbreak.seeds)
        self._units = outbreak.units

    def spread(self, retention: Tensor) -> Tensor:
        """The spread at each retention, [b] of [b, k]."""
        seeds = self._seeds.expand(len(retention), -1)
        if self._arcs:
            return self.surrogate.spread(self.graph, seeds, retention * self.graph.probability)
        return self.surrogate.spread(self.graph, seeds, None, retention)

    def kept(self, chosen: Iterable[int]) -> Tensor:
        """Retention without the chosen units, [k]."""
        retention = self.graph.probability.new_ones(self._units)
        retention[list(chosen)] = 0.0
        return retention

    def gradients(self, retention: Tensor) -> Tensor:
        """The derivative of the spread in the retention of each unit, [k]."""
        variable = retention.detach().requires_grad_()
        return torch.autograd.grad(self.spread(variable[None]).sum(), variable)[0]
