"""Parameters: named tensors, or one flat vector of them all."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Params = dict[str, Tensor]


def flatten(params: Mapping[str, Tensor]) -> Tensor:
    """One detached vector [p] of all parameters, in the mapping's order."""
    return torch.cat([value.detach().reshape(-1) for value in params.values()])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> Params:
    """Views of `vector` [p] with the names and shapes of `like`."""
    sizes = [value.numel() for value in like.values()]
    if sum(sizes) != vector.numel():
        raise ValueError(f"`vector` must have {sum(sizes)} entries to fill these parameters (got {vector.numel()})")
    parts = vector.split(sizes)
    return {name: part.view(value.shape) for (name, value), part in zip(like.items(), parts, strict=True)}
