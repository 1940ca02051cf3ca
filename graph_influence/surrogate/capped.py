"""A learned simulator of single steps that no union bound is exceeded by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graph_influence.surrogate.base import Surrogate, register
from graph_influence.surrogate.propagation import Propagation
from graph_influence.surrogate.tensors import TensorGraph

_WINDOW = 3  # increments that a step looks back on


@register
class Capped(Surrogate):
    """Steps of a cascade, each a learned share of what the union bound allows.

    Ko, Lee, Shin and Park, "MONSTOR: an inductive approach for estimating and maximizing influence over unseen
    networks" (2020, arXiv 2001.08853); its layers are those of Panagopoulos, Tziortziotis, Vazirgiannis and Malliaros,
    "Maximizing influence with graph neural networks" (GLIE, 2021, arXiv 2108.04623). With x the probability of being
    active after a step, d its increment and r who is susceptible, from x = d = s,

        d_v <- g_v min(1 - x_v, r_v sum over arcs u -> v of p_uv d_u),        x <- x + d,        `steps` times

    and the gates 0 < g < 1 from the last three increments and x by h <- max(0, [h, sum over arcs of p h] A + b), twice.
    So s <= x <= 1, x never falls from step to step, and no step exceeds the union bound of the one before.

    Computes in the dtype of its parameters and answers in float64. `seed` draws the first parameters.

    Differences from the papers: MONSTOR adds the network's output and then cuts it at the bound, takes the largest of
    messages, and is trained on one step at a time; here the bound is multiplied, so that all arcs of a node have
    gradients, messages are summed, and all steps are trained together. GLIE answers with the spread alone.
    """

    name = "capped"

    def __init__(self, steps: int = 6, width: int = 16, model: str = "ic", seed: int = 0) -> None:
        super().__init__(model)
        if steps < 1 or width < 1:
            raise ValueError(f"`steps` and `width` must be at least 1 for `{self.name}` (got {steps} and {width})")
        self.steps, self.width, self.seed = steps, width, seed
        layers = [nn.Linear(2 * size, width) for size in (_WINDOW + 1, width)]
        self.layers, self.readout = nn.ModuleList(layers), nn.Linear(width, 1)
        random = torch.Generator().manual_seed(seed)
        for layer in (*layers, self.readout):
            nn.init.xavier_uniform_(layer.weight, generator=random)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.readout.bias, 3.0)  # the bound is not far off

    def forward(
        self, graph: TensorGraph, seeds: Tensor, probability: Tensor | None = None, susceptible: Tensor | None = None
    ) -> Tensor:
        b, n, dtype = len(seeds), graph.num_nodes, self.readout.weight.dtype
        open_ = graph.there.to(dtype) if susceptible is None else graph.there * susceptible.to(dtype)
        open_, x = open_.expand(b, n).reshape(-1, 1), seeds.to(dtype).reshape(-1, 1)
        p = (graph.probability if probability is None else probability).to(dtype).expand(b, -1).reshape(-1)
        along = Propagation.of(graph, b)
        # Who can never be active is not heard of either.
        heard = p * (x + (1 - x) * open_).index_select(0, along.forward.cols)[:, 0]
        increments = [torch.zeros_like(x)] * (_WINDOW - 1) + [x]
        for _ in range(self.steps):
            most, room = open_ * along(p, increments[-1]), 1 - x
            # Not `minimum`, which halves the gradient where an arc of probability 1 fills the room.
            most = torch.where(most <= room, most, room)
            hidden = torch.cat([*increments, x], dim=1)
            for layer in self.layers:
                hidden = layer(torch.cat([hidden, along(heard, hidden)], dim=1)).relu()
            grown = torch.sigmoid(self.readout(hidden)) * most
            x, increments = x + grown, [*increments[1:], grown]
        return x.double().reshape(b, n)
