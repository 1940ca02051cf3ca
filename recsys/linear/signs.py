"""Random signs to sum rows with: the same at every call, so that a request is served the same way twice."""

from __future__ import annotations

import torch
from torch import Tensor


def signs(rows: int, columns: int, like: Tensor) -> Tensor:
    """Random signs [rows, columns], 32 from a draw: normal numbers would take twice as long or more."""
    shape = rows, -(-columns // 32), 1
    draws = torch.randint(-(2**31), 2**31, shape, generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    bits = (draws >> torch.arange(32, dtype=torch.int32)) & 1
    return bits.flatten(1)[:, :columns].to(like).mul_(2.0).sub_(1.0)
