"""Random projections of gradients to few dimensions that keep inner products in expectation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from unlearn.invalid import require
from unlearn.streams import bits, normals, uniforms

_BLOCK = 2**22  # entries of a dense projection held at a time


@dataclass(frozen=True)
class Projection(ABC):
    """A linear map from `size` to `width` dimensions with E[(P g) . (P h)] = g . h over its seed.

    Keyed draws: the same arguments are the same projection, wherever and whenever.

    Raises:
        ValueError: listing every argument that is out of range.
    """

    name: ClassVar[str]
    size: int
    width: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            self,
            size=("a positive integer", self.size >= 1),
            width=("a positive integer", self.width >= 1),
        )

    def __call__(self, gradients: Tensor) -> Tensor:
        """P g for each of the gradients: [r, size] -> [r, width].

        Raises:
            ValueError: they are of another size.
        """
        if gradients.dim() != 2 or gradients.shape[1] != self.size:
            raise ValueError(
                f"`gradients` must have shape [r, {self.size}] for `{self.name}` (got {list(gradients.shape)})"
            )
        return self._projected(gradients)

    @abstractmethod
    def _projected(self, gradients: Tensor) -> Tensor: ...

    def arguments(self) -> dict[str, Any]:
        """What makes it again; goes into a store's manifest."""
        return {"name": self.name} | asdict(self)


@dataclass(frozen=True)
class CountSketch(Projection):
    """Shuffle, turn signs at random, sum neighbours: one addition a coordinate and no matrix.

    Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2002; for attribution "DMin: scalable
    training data influence estimation for diffusion models", 2024. Variance of an inner product:
    at most 2 |g|^2 |h|^2 / width. Memory: 12 bytes a coordinate.

    **Differences from DMin:** one permutation in place of a sequence of them; rows are not normalised here, since a
    store keeps norms beside unit rows.
    """

    name = "count_sketch"

    @cached_property
    def _hashes(self) -> tuple[Tensor, Tensor]:
        coordinates = np.arange(self.size)
        order = np.argsort(bits(self.seed, "sketch/order", coordinates), kind="stable")
        buckets = np.empty(self.size, dtype=np.int64)
        buckets[order] = coordinates % self.width  # every bucket is the sum of as many coordinates, give or take one
        signs = np.where(uniforms(self.seed, "sketch/sign", coordinates) < 0.5, 1.0, -1.0)
        return torch.from_numpy(buckets), torch.from_numpy(signs.astype(np.float32))

    def _projected(self, gradients: Tensor) -> Tensor:
        buckets, signs = self._hashes
        out = gradients.new_zeros(len(gradients), self.width)
        return out.index_add_(1, buckets.to(out.device), gradients * signs.to(gradients))

    def sparse(self, positions: Tensor, values: Tensor) -> Tensor:
        """The same for gradients of few entries: coordinates and values, both [r, t] -> [r, width]."""
        buckets, signs = self._hashes
        out = values.new_zeros(len(values), self.width)
        return out.scatter_add_(1, buckets[positions], values * signs[positions].to(values))


@dataclass(frozen=True)
class Dense(Projection):
    """A dense matrix with independent entries of variance 1 / width, signs or normal, made block by block.

    Johnson and Lindenstrauss, 1984; as in "TRAK: attributing model behavior at scale", 2023, arXiv 2303.14186, and with
    signs in "LESS: selecting influential data for targeted instruction tuning", 2024, arXiv 2402.04333. Costs
    size x width multiplications a gradient and as many draws a call, so give it many gradients at a time; `CountSketch`
    is the one for large models.
    """

    kind: Literal["rademacher", "gaussian"] = "rademacher"

    name = "dense"

    def _projected(self, gradients: Tensor) -> Tensor:
        out = gradients.new_zeros(len(gradients), self.width)
        columns = np.arange(self.width)[None, :]
        for rows in np.array_split(np.arange(self.size), -(-self.size * self.width // _BLOCK)):
            if self.kind == "gaussian":
                block = normals(self.seed, "projection", rows[:, None], columns)
            else:
                block = np.where(uniforms(self.seed, "projection", rows[:, None], columns) < 0.5, 1.0, -1.0)
            out.addmm_(gradients[:, rows[0] : rows[-1] + 1], torch.from_numpy(block).to(gradients))
        return out.div_(self.width**0.5)
