"""XSimGCL."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.models.base import register
from recsys.models.simgcl import SimGCL
from unlearn.invalid import Rules


@register
class XSimGCL(SimGCL):
    """SimGCL in one pass: noisy embeddings are scored with, and contrasted with one of their own layers.

    Yu et al., "XSimGCL: Towards extremely simple graph contrastive learning for recommendation", 2023,
    arXiv 2209.02544.

    One noisy pass X^1, ..., X^L (see `SimGCL`) does for both: its mean is what training scores with, and is contrasted
    with the layer X^contrast. Serving has no noise.

    Args:
        n_users, n_items: rows of the table.
        contrast: the layer, from 1 to L.
        arguments: those of `SimGCL`.

    Raises:
        ValueError: an argument is out of range; the message lists every one.

    **Differences from the paper:** those of `ContrastiveRecommender`.
    """

    name = "xsimgcl"

    def __init__(self, n_users: int, n_items: int, *, contrast: int = 1, **arguments: Any) -> None:
        self.contrast = contrast
        super().__init__(n_users, n_items, **arguments)

    def _rules(self) -> Rules:
        return super()._rules() | {"contrast": ("a layer from 1 to `layers`", 1 <= self.contrast <= self.layers)}

    def views(self, table: Tensor, graph: BipartiteGraph, *, epoch: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        layers = self.noisy_layers(table, graph, epoch=epoch, batch=batch, view=0)
        final = torch.stack(layers).mean(0)
        return final, final, layers[self.contrast - 1]
