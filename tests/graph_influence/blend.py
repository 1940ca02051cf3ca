"""A learned surrogate whose fit is a ridge regression, so that the truth about it is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graph_influence.surrogate import MeanField, NonBacktracking, Surrogate, TensorGraph


class Blend(Surrogate):
    """A weighted sum of three training-free surrogates: the objective is that of a ridge regression."""

    name = "blend"

    def __init__(self, model: str = "ic", seed: int = 0) -> None:
        super().__init__(model)
        self.seed = seed
        self.parts = nn.ModuleList([MeanField(2, model), NonBacktracking(2, model), NonBacktracking(6, model)])
        random = torch.Generator().manual_seed(seed)
        self.share = nn.Parameter(torch.randn(3, generator=random, dtype=torch.float64))

    def features(
        self, graph: TensorGraph, seeds: Tensor, probability: Tensor | None = None, susceptible: Tensor | None = None
    ) -> Tensor:
        return torch.stack([part(graph, seeds, probability, susceptible) for part in self.parts], dim=-1)

    def forward(
        self, graph: TensorGraph, seeds: Tensor, probability: Tensor | None = None, susceptible: Tensor | None = None
    ) -> Tensor:
        return self.features(graph, seeds, probability, susceptible) @ self.share
