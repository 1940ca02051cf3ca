"""Small gradient stores, of records by number."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unlearn.attribution import GradientStore, build

WIDTH = 96
SOURCE = {"model": "abc", "projection": {"name": "count_sketch", "seed": 0}}


def vectors(n: int, *, decay: float = 0.93, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    lengths = 0.5 + 2.0 * torch.rand(n, 1, generator=generator)
    return lengths * torch.randn(n, WIDTH, generator=generator) * decay ** torch.arange(WIDTH)


def names(n: int) -> list[bytes]:
    return [hashlib.sha256(f"record {k}".encode()).digest() for k in range(n)]


def made(folder: Path, x: Tensor, **arguments: Any) -> GradientStore:
    return build(folder, names(len(x)), lambda records: x[records], width=WIDTH, source=SOURCE, chunk=64, **arguments)


def half_built(folder: Path, x: Tensor) -> None:
    """A store of which the first 128 records are there, as a process that died leaves it."""

    def failing(numbers: Tensor) -> Tensor:
        if int(numbers[0]) >= 128:
            raise KeyboardInterrupt
        return x[numbers]

    with pytest.raises(KeyboardInterrupt):
        build(folder, names(len(x)), failing, width=WIDTH, source=SOURCE, chunk=64)
