"""Training-free surrogates: rounds in which nodes tell their neighbours how probably they are active."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from graph_influence.surrogate.base import Surrogate, register
from graph_influence.surrogate.fixed_point import fixed_point
from graph_influence.surrogate.tensors import TensorGraph

# Largest number below 1. An arc of probability 1 from a node that is surely active is live all but surely, so that its
# logarithm and its gradient are finite and the gradient is the right one; a clamp would make that 0.
_ALMOST = 1.0 - 2.0**-53


class _MessagePassing(Surrogate):
    """Rounds of messages on [nodes or arcs, b], in float64 on any device.

    `rounds` bounds the number of steps of the cascade; None iterates to the fixed point and differentiates it
    implicitly, in memory for one round.
    """

    def __init__(self, rounds: int | None = 7, model: str = "ic") -> None:
        super().__init__(model)
        if rounds is not None and rounds < 1:
            raise ValueError(f"`rounds` must be at least 1 or none for `{self.name}` (got {rounds})")
        self.rounds = rounds

    def forward(
        self, graph: TensorGraph, seeds: Tensor, probability: Tensor | None = None, susceptible: Tensor | None = None
    ) -> Tensor:
        s = seeds.double().T
        p = _columns(graph.probability if probability is None else probability.double())
        # Of those who are no seeds, the share that can be activated.
        open_ = (1 - s) if susceptible is None else (1 - s) * _columns(susceptible.double())

        def step(state: Tensor, *read: Tensor) -> Tensor:
            return self._step(graph, state, *read)

        state, read = self._start(graph, s), (s, open_, p, *self.parameters())
        if self.rounds is None:
            state = fixed_point(step, state, *read)
        else:
            for _ in range(self.rounds - 1):
                state = step(state, *read)
        return self._activation(graph, state, *read).T

    @abstractmethod
    def _start(self, graph: TensorGraph, s: Tensor) -> Tensor:
        """The state before anybody has tried anything."""

    @abstractmethod
    def _step(self, graph: TensorGraph, state: Tensor, s: Tensor, open_: Tensor, p: Tensor, *learned: Tensor) -> Tensor:
        """The state after one more round."""

    @abstractmethod
    def _activation(
        self, graph: TensorGraph, state: Tensor, s: Tensor, open_: Tensor, p: Tensor, *learned: Tensor
    ) -> Tensor:
        """How probably each node is active one round after the state, [n, b]."""

    def _trials(self, p: Tensor, active: Tensor) -> Tensor:
        """What each arc adds at its target, [m, b]: sums of it are read by `_success`."""
        return torch.log1p(p * active * -_ALMOST) if self.model == "ic" else p * active

    def _success(self, total: Tensor, *learned: Tensor) -> Tensor:
        """How probably any of the arcs behind a total of trials succeeds; `learned` are all parameters in order."""
        return 1.0 - total.exp() if self.model == "ic" else total


@register
class MeanField(_MessagePassing):
    """Every node counts its in-neighbours as independent, an upper bound that echoes.

    With s the seeds and r who is susceptible, from x = s,

        x_v <- s_v + (1 - s_v) r_v (1 - prod over arcs u -> v of (1 - p_uv x_u))         ("ic")
        x_v <- s_v + (1 - s_v) r_v sum over arcs u -> v of w_uv x_u                      ("lt")

    After T rounds x_v is at least the probability that v is active after T steps of the cascade: failures of its
    in-neighbours are positively correlated, so their product is at most the probability that all of them fail.
    """

    name = "mean_field"

    def _start(self, graph: TensorGraph, s: Tensor) -> Tensor:
        return s

    def _step(self, graph: TensorGraph, state: Tensor, s: Tensor, open_: Tensor, p: Tensor, *learned: Tensor) -> Tensor:
        trials = self._trials(p, state.index_select(0, graph.source))
        return s + open_ * self._success(_summed(trials, graph), *learned)

    def _activation(
        self, graph: TensorGraph, state: Tensor, s: Tensor, open_: Tensor, p: Tensor, *learned: Tensor
    ) -> Tensor:
        return self._step(graph, state, s, open_, p, *learned)


@register
class NonBacktracking(_MessagePassing):
    """A node tells a neighbour how probably it is active without that neighbour's help.

    Abbe, Kulkarni and Lee, "Nonbacktracking bounds on the influence in independent cascade models" (2017, arXiv
    1706.05295), and Lokhov and Saad, "Scalable influence estimation without sampling" (2019, arXiv 1912.12749). The
    message of arc u -> v, from m = s_u, and the answer:

        m_uv <- s_u + (1 - s_u) r_u (1 - prod over arcs w -> u, w not v, of (1 - p_wu m_wu))
        pi_v  = s_v + (1 - s_v) r_v (1 - prod over arcs u -> v of (1 - p_uv m_uv))

    and under "lt" sums in place of 1 - prod. After T rounds pi_v is an upper bound of the probability that v is active
    after T steps, never above that of the mean field, and exact where the graph without directions is a forest.

    Differences from the papers:
        - Seeds, arcs and nodes may be fractional, and all have gradients.
        - `rounds` stops before the fixed point: what many rounds add on real graphs are mostly echoes along loops.
        - Products are sums of logarithms, and the one factor that is left out is subtracted.
    """

    name = "non_backtracking"

    def _start(self, graph: TensorGraph, s: Tensor) -> Tensor:
        return s.index_select(0, graph.source)

    def _step(self, graph: TensorGraph, state: Tensor, s: Tensor, open_: Tensor, p: Tensor, *learned: Tensor) -> Tensor:
        trials = self._trials(p, state)
        total = _summed(trials, graph).index_select(0, graph.source)
        total = total.index_add(0, graph.paired, trials.index_select(0, graph.reverse), alpha=-1)
        return s.index_select(0, graph.source) + open_.index_select(0, graph.source) * self._success(total, *learned)

    def _activation(
        self, graph: TensorGraph, state: Tensor, s: Tensor, open_: Tensor, p: Tensor, *learned: Tensor
    ) -> Tensor:
        return s + open_ * self._success(_summed(self._trials(p, state), graph), *learned)


def _columns(values: Tensor) -> Tensor:
    """[k] or [b, k] as [k, 1] or [k, b]."""
    return values[:, None] if values.ndim == 1 else values.T


def _summed(trials: Tensor, graph: TensorGraph) -> Tensor:
    """Sums over the arcs into each node, [n, b]."""
    return trials.new_zeros(graph.num_nodes, trials.shape[1]).index_add(0, graph.target, trials)
