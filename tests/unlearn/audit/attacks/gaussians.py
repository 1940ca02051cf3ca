"""Signals drawn for the purpose, whose attacks have closed forms."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from unlearn.audit.signals import Signals

Floats = NDArray[np.float64]


def halves(models: int, examples: int, shift: float, seed: int = 0) -> Signals:
    """Standard normal signals, larger by `shift` where the model was a member: half of them, in independent pairs."""
    generator = np.random.default_rng(seed)
    first = generator.random((models // 2, examples)) < 0.5
    member = np.stack([first, ~first], 1).reshape(models, examples)
    values = generator.normal(size=member.shape) + 3 * generator.normal(size=examples) + shift * member
    return Signals(torch.from_numpy(values), torch.from_numpy(member), torch.arange(models) // 2)


def several(values: Floats, *, first: int = 0) -> Signals:
    numbers = tuple(range(first, first + len(values)))
    return Signals(torch.from_numpy(values), torch.ones(values.shape, dtype=torch.bool), None, numbers)
