"""The surrogate of DiffIM: a graph convolutional network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graph_influence.surrogate.base import Surrogate, register
from graph_influence.surrogate.propagation import Propagation
from graph_influence.surrogate.tensors import TensorGraph


@register
class GCN(Surrogate):
    """Graph convolutions of the seeds' indicator over arcs weighted by probability, and one number for each node.

    Lee, Kim, Bu, Ko and Shin, "DiffIM: differentiable influence minimization with surrogate modeling and continuous
    relaxation" (2025, arXiv 2502.01031); Kipf and Welling, "Semi-supervised classification with graph convolutional
    networks" (2017, arXiv 1609.02907). With s the seeds, W = (p_uv) over arcs u -> v, in-degrees d_v = 1 + sum over u
    of p_uv and P = D^-1/2 (I + W') D^-1/2, from H = s [n, 1],

        H <- max(0, P H A + b), `depth` times,        x = H a + c

    with A [width, width] after the first. Six layers of width 128 have 82,945 parameters. The answer is not bounded,
    neither by 0 and 1 nor by that of message passing, and not monotone: a further arc lowers what others carry.
    A node that can be activated with probability r passes on r of its features, and r of its answer counts; r of a seed
    is 1, as far as it is one.

    Computes in the dtype of its parameters and answers in float64. `seed` draws the first parameters.

    Differences from the paper: susceptibility and fractional seeds, which it has not; the first parameters, which it
    draws as Glorot and Bengio with offsets of 0. Convolutions are those of PyTorch Geometric (`GCNConv`), with sparse
    products in place of gathering and scattering.
    """

    name = "gcn"

    def __init__(self, depth: int = 6, width: int = 128, model: str = "ic", seed: int = 0) -> None:
        super().__init__(model)
        if depth < 1 or width < 1:
            raise ValueError(f"`depth` and `width` must be at least 1 for `{self.name}` (got {depth} and {width})")
        self.depth, self.width, self.seed = depth, width, seed
        layers = [nn.Linear(width if layer else 1, width) for layer in range(depth)]
        self.layers, self.readout = nn.ModuleList(layers), nn.Linear(width, 1)
        random = torch.Generator().manual_seed(seed)
        # Hinges over the whole range of what comes in: without offsets all would be the same one at first. Later
        # layers keep the size of what passes: propagation halves it where in-weights sum to 1.
        first, *later = layers
        nn.init.uniform_(first.weight, -2.0, 2.0, generator=random)
        nn.init.uniform_(first.bias, -1.0, 1.0, generator=random)
        for layer in later:
            nn.init.normal_(layer.weight, std=(3.4 / width) ** 0.5, generator=random)
            nn.init.normal_(layer.bias, std=0.1, generator=random)
        nn.init.xavier_uniform_(self.readout.weight, 0.3, generator=random)
        nn.init.zeros_(self.readout.bias)

    def forward(
        self, graph: TensorGraph, seeds: Tensor, probability: Tensor | None = None, susceptible: Tensor | None = None
    ) -> Tensor:
        b, n, dtype = len(seeds), graph.num_nodes, self.readout.weight.dtype
        s = seeds.to(dtype)
        # How probably each node can be active at all, and nobody who has left.
        can = graph.there if susceptible is None else graph.there * (s + (1 - s) * susceptible.to(dtype))
        p = (graph.probability if probability is None else probability).to(dtype)
        # Sets that share their arcs go through one copy of the graph, as further features.
        copies = b if can.ndim == 2 or p.ndim == 2 else 1
        can, p = can.to(dtype).expand(copies, n).reshape(-1), p.expand(copies, -1).reshape(-1)
        along = Propagation.of(graph, copies)
        weights = p * can.index_select(0, along.forward.cols)
        scale = (1 + can.new_zeros(copies * n).index_add(0, along.forward.rows, weights)).rsqrt()
        weights = weights * scale.index_select(0, along.forward.rows) * scale.index_select(0, along.forward.cols)
        own, hidden = scale.square()[:, None, None], s.T[:, :, None] if copies == 1 else s.reshape(-1, 1, 1)
        for layer in self.layers:
            mixed = along(weights, hidden.flatten(1)).view(hidden.shape)
            hidden = layer(mixed + own * hidden).relu()
        answers = can[:, None] * self.readout(hidden)[:, :, 0]
        return (answers.T if copies == 1 else answers.view(b, n)).double()
