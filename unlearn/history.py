"""What training leaves behind beside the parameters: where it stopped, and what it can be resumed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from unlearn.params import Params

if TYPE_CHECKING:
    from unlearn.problem import Problem


@dataclass(frozen=True, slots=True)
class AdamState:
    """What Adam remembers; either moment has the names and shapes of the parameters."""

    mean: Params
    square: Params
    steps: int
    rates: float  # the sum of the learning rates of these steps


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where training stood after an epoch, and all that it needs to go on from there."""

    epoch: int
    params: Params
    optimizer: AdamState | None = None  # None: it begins here


@dataclass(frozen=True, slots=True)
class History:
    """What training kept on request, for the methods that declare they need it."""

    residual: float | None = None  # gradient norm where training stopped
    seconds: float | None = None
    seed: int | None = None
    checkpoints: tuple[Checkpoint, ...] = ()  # by epoch
    optimizer: AdamState | None = None  # at the end
    hooks: tuple[TrainingHook, ...] = ()  # a retrain runs with the same ones
    removed: int = 0  # records forgotten since the last full training: the debt of approximation

    def has(self, name: str) -> bool:
        return bool(getattr(self, name, None))


TrainingHook = Callable[["Problem", "Params"], Tensor]
"""An extra term of the training loss: given the problem and the parameters (with gradient), returns a scalar."""
