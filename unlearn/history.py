"""What training leaves behind beside the parameters: where it stopped, and what it can be resumed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from unlearn.params import Params, flatten

_UNFINISHED = 0.01  # of the norm of the penalty's own gradient: what converges in float32 ends below a fifth of that


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

    @property
    def caveat(self) -> str | None:
        """What follows from training hooks, if there were any."""
        if not self.hooks:
            return None
        return (
            "training had terms beside the objective (`hooks`), as retrains have: methods and residuals go by the "
            "objective alone, so a method that settles it ends where training without the terms would"
        )

    def unfinished(self, params: Params, penalty: float, *, remedy: str) -> str | None:
        """What follows from a training that should converge and was stopped far from there, if it was.

        Of a model that has forgotten since, the residual is what forgetting left, which has measures of its own.

        Args:
            params: those that it ended with; penalty: the objective's, in (penalty / 2) |params|^2.
        """
        own = penalty * float(flatten(params).norm())
        if self.removed or self.residual is None or own == 0.0 or not self.residual > _UNFINISHED * own:
            return None
        return (
            f"training stopped with a gradient {self.residual / own:.2g} times that of the penalty: what it left to "
            f"gain is gained by the next deletion and counts as its effect; {remedy}"
        )

    def has(self, name: str) -> bool:
        """Whether training kept that: "checkpoints" or "optimizer"."""
        return bool(getattr(self, name, None))

    def to(self, device: torch.device | str) -> Self:
        """The same with its tensors on that device; hooks are code and stay what they are."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors().items()}
        return self.restored(self.facts(), moved, [one.epoch for one in self.checkpoints], self.hooks)

    # ---- on disk ----------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return {name: getattr(self, name) for name in _FACTS}

    def tensors(self) -> dict[str, Tensor]:
        """Moments and checkpoints by name; hooks are code and stay with the problem."""
        kept = _of_adam(_OPTIMIZER, self.optimizer)
        for one in self.checkpoints:
            prefix = f"{_CHECKPOINTS}{one.epoch}."
            kept |= {f"{prefix}{_PARAMS}{name}": value for name, value in one.params.items()}
            kept |= _of_adam(f"{prefix}{_OPTIMIZER}", one.optimizer)
        return kept

    @classmethod
    def restored(
        cls,
        facts: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        epochs: Iterable[int],
        hooks: tuple[TrainingHook, ...] = (),
    ) -> Self:
        """The history of which these are the facts, the tensors (others may be among them) and the checkpoints."""
        checkpoints = (
            Checkpoint(
                epoch,
                prefixed(tensors, f"{_CHECKPOINTS}{epoch}.{_PARAMS}"),
                _adam(tensors, f"{_CHECKPOINTS}{epoch}.{_OPTIMIZER}"),
            )
            for epoch in epochs
        )
        return cls(**facts, checkpoints=tuple(checkpoints), optimizer=_adam(tensors, _OPTIMIZER), hooks=hooks)


_FACTS = ("residual", "seconds", "seed", "removed")
_PARAMS, _OPTIMIZER, _CHECKPOINTS = "params.", "optimizer.", "checkpoints."
_MEAN, _SQUARE, _STEPS = "mean.", "square.", "steps"


def prefixed(tensors: Mapping[str, Tensor], prefix: str) -> Params:
    """Those whose names begin so, by the rest of the name."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _of_adam(prefix: str, state: AdamState | None) -> Params:
    if state is None:
        return {}
    moments = {_MEAN: state.mean, _SQUARE: state.square}
    tensors = {f"{prefix}{part}{name}": value for part, moment in moments.items() for name, value in moment.items()}
    return tensors | {f"{prefix}{_STEPS}": torch.tensor([state.steps, state.rates], dtype=torch.float64)}


def _adam(tensors: Mapping[str, Tensor], prefix: str) -> AdamState | None:
    if f"{prefix}{_STEPS}" not in tensors:
        return None
    steps, rates = tensors[f"{prefix}{_STEPS}"].tolist()
    return AdamState(prefixed(tensors, f"{prefix}{_MEAN}"), prefixed(tensors, f"{prefix}{_SQUARE}"), int(steps), rates)


TrainingHook = Callable[[Any, Params], Tensor]
"""An extra term of the training loss: given the problem, of whatever kind the hook is for, and the parameters (with
gradient), returns a scalar."""

Monitor = Callable[[int, float, Callable[[], Params]], bool | None]
"""Called as (iteration or epoch, seconds, parameters on demand) while training; its own time is not counted; True
stops it."""
