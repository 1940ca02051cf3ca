"""How a surrogate learns from simulated cascades."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from graph_influence.surrogate.base import Surrogate
from graph_influence.surrogate.examples import Examples


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Adam over batches of seed sets of one graph each, with a rate that decays geometrically from step to step.

    The loss of a set is the squared error of its activation probabilities, summed over nodes and divided by
    spread ** `balance`: 0 as published, 1 gives sets of few and of many reached nodes like weight. The rate
    falls to `decay` times itself from the first step to the last; gradients are clipped to norm `clip`.
    """

    epochs: int = 30
    batch_size: int = 5
    learning_rate: float = 2e-3
    decay: float = 0.02
    clip: float = 1.0
    balance: float = 1.0
    seed: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` must be positive for `TrainingOptions` (got {getattr(self, name)})"
            for name in ("epochs", "batch_size", "learning_rate", "decay", "clip")
            if not getattr(self, name) > 0
        ]
        if not self.balance >= 0:
            problems.append(f"`balance` must be at least 0 for `TrainingOptions` (got {self.balance})")
        if problems:
            raise ValueError("\n".join(problems))


@dataclass(frozen=True)
class Trained:
    """What training came to: the loss on validation after each epoch, and which was kept."""

    validation: tuple[float, ...]
    epoch: int
    seconds: float
    interrupted: bool


def train(
    network: Surrogate,
    examples: Sequence[Examples],
    validation: Sequence[Examples],
    options: TrainingOptions | None = None,
) -> Trained:
    """Train in place; the parameters at the end are those of the least loss on validation, the first included.

    Lee, Kim, Bu, Ko and Shin, "DiffIM" (2025, arXiv 2502.01031). An interrupt by the keyboard ends training with the
    best so far. The same seed gives the same parameters on the same machine.

    Raises:
        ValueError: the network has nothing to learn, or there are no examples for training or for validation.

    Differences from the paper: batches are of one graph; sets are weighted (`balance`); the rate falls by steps; the
    loss on validation selects, not the error of the spread; what is selected is kept, where the released code saves the
    last epoch.
    """
    options = options or TrainingOptions()
    parameters = list(network.parameters())
    if not parameters or not examples or not validation:
        raise ValueError(
            "`network` must have parameters, and `examples` and `validation` must hold something, for `train` (got "
            f"{len(parameters)}, {len(examples)} and {len(validation)})"
        )
    examples, validation = ([one.to(network.device) for one in part] for part in (examples, validation))
    random = torch.Generator().manual_seed(options.seed)
    adam = torch.optim.Adam(parameters, lr=options.learning_rate)
    steps = options.epochs * sum(-(-len(one) // options.batch_size) for one in examples)
    schedule = torch.optim.lr_scheduler.ExponentialLR(adam, options.decay ** (1 / steps))
    began, interrupted = time.perf_counter(), False
    losses = [_loss(network, validation, options)]
    kept, best = 0, _copied(network)
    bar = tqdm(total=steps, desc="train", leave=False, disable=None if options.progress else True)
    try:
        for _ in range(options.epochs):
            for one, rows in _batches(examples, options.batch_size, random):
                loss = _errors(network, one, rows, options.balance).sum()
                adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, options.clip)
                adam.step()
                schedule.step()
                bar.update()
            losses.append(_loss(network, validation, options))
            if losses[-1] < losses[kept]:
                kept, best = len(losses) - 1, _copied(network)
            bar.set_postfix_str(f"loss on validation {losses[-1]:.4g}, least {losses[kept]:.4g}")
    except KeyboardInterrupt:
        interrupted = True
    finally:
        bar.close()
    network.load_state_dict(best)
    return Trained(tuple(losses), kept, time.perf_counter() - began, interrupted)


def _batches(examples: Sequence[Examples], size: int, random: torch.Generator) -> Iterator[tuple[Examples, Tensor]]:
    """Each set of each graph once, in random order, sets of one graph at a time."""
    parts = [(one, rows) for one in examples for rows in torch.randperm(len(one), generator=random).split(size)]
    for place in torch.randperm(len(parts), generator=random).tolist():
        yield parts[place]


def _errors(network: Surrogate, one: Examples, rows: Tensor, balance: float) -> Tensor:
    """The loss of each of these sets, [k]."""
    seeds, activation = one.seeds[rows], one.activation[rows]
    wrong = (network(one.graph, seeds, one.probability[rows]) - activation).square().sum(1)
    return wrong / activation.sum(1) ** balance


def _loss(network: Surrogate, validation: Sequence[Examples], options: TrainingOptions) -> float:
    """The mean loss of a set."""
    with torch.no_grad():
        found = [
            _errors(network, one, rows, options.balance)
            for one in validation
            for rows in torch.arange(len(one)).split(options.batch_size)
        ]
    return float(torch.cat(found).mean())


def _copied(network: Surrogate) -> dict[str, Tensor]:
    # Copies: a state dict holds the parameters themselves, which go on changing.
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
