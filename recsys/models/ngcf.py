"""NGCF."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from recsys.graph import BipartiteGraph
from recsys.models.base import DIM, Recommender, register
from unlearn.invalid import Rules
from unlearn.params import Params
from unlearn.streams import normals

_SLOPE = 0.2  # of the negative side
_SOFT = 1e-6  # under the root of a row's length


@register
class NGCF(Recommender):
    """Graph convolution with weights and nonlinearities; all layers side by side.

    Wang et al., "Neural graph collaborative filtering", 2019, arXiv 1905.08108.

    E^l = leaky_relu((A + I) E^(l-1) W1_l + (A E^(l-1) * E^(l-1)) W2_l),   Z = [E^0 | n(E^1) | ... | n(E^L)]

    with A the normalised adjacency, E^0 [n_users + n_items, dim] the table, W1_l, W2_l [dim, dim] weights that all
    nodes share, and n(x) = x / sqrt(|x|^2 + 1e-6) row by row; Z is (L + 1) dim wide. A row of zeros without edges
    stays zero in every layer.

    **Differences from the paper:** no dropout of messages or nodes. Rows are scaled to length 1, as in its released
    code but unlike its equations (without it the model overfits early); a row near zero is not blown up. No biases,
    as in the equations: a forgotten row would not stay empty. The table starts at N(0, init_std^2), the weights by
    Xavier's normal rule.
    """

    name = "ngcf"

    def __init__(self, n_users: int, n_items: int, *, dim: int = DIM, layers: int = 3) -> None:
        self.layers = layers
        super().__init__(n_users, n_items, dim=dim)
        self.w1 = nn.ParameterList(nn.Parameter(torch.zeros(dim, dim)) for _ in range(layers))
        self.w2 = nn.ParameterList(nn.Parameter(torch.zeros(dim, dim)) for _ in range(layers))

    def _rules(self) -> Rules:
        return super()._rules() | {"layers": ("an integer of at least 0", self.layers >= 0)}

    def initial(self, graph: BipartiteGraph, seed: int, *, std: float = 0.1) -> Params:
        rows, columns = np.arange(self.dim)[:, None], np.arange(self.dim)[None, :]
        params = super().initial(graph, seed, std=std)
        for name, _ in self.named_parameters():
            if name != "table":
                weight = normals(seed, f"weights/{name}", rows, columns) / math.sqrt(self.dim)
                params[name] = torch.from_numpy(weight).to(graph.values)
        return params

    def forward(self, graph: BipartiteGraph) -> Tensor:
        x: Tensor = self.table
        layers: list[Tensor] = [x]
        for w1, w2 in zip(self.w1, self.w2, strict=True):
            nearby = graph.propagate(x)
            x = leaky_relu((nearby + x) @ w1 + (nearby * x) @ w2, _SLOPE)
            layers.append(x * (x.square().sum(1, keepdim=True) + _SOFT).rsqrt())
        return torch.cat(layers, 1)
