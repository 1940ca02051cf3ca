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
from unlearn.invalid import require


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Adam over batches of seed sets of one graph each, with a rate that decays geometrically from step to step.

    With x the surrogate's answer for a set, y its activation probabilities and sigma the spread, sum of y, its loss is

        |x - y|² / sigma^balance  +  total · (sum of x - sigma)² / sigma²
                                  +  drops · |p · d(sum of x)/dp - d|² / (1 + sigma - seeds)²

    with d by how much the spread falls without each arc, over arcs that lead to no seed. `balance` 0 is as published; 1
    gives sets of few and of many reached nodes like weight. `total` above 0 teaches the spread itself, which an error
    that every node has but a little of can make several times too large. `drops` above 0 teaches what DiffIM++ reads
    (Czarnecki et al., "Sobolev training for neural networks", 2017, arXiv 1706.04859), at three times the cost of a
    step. The rate falls to `decay` times itself from the first step to the last; gradients are clipped to norm `clip`.
    """

    epochs: int = 30
    batch_size: int = 5
    lr: float = 2e-3
    decay: float = 0.02
    clip: float = 1.0
    balance: float = 1.0
    total: float = 0.0
    drops: float = 0.0
    seed: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        require(
            self,
            epochs=("positive", self.epochs > 0),
            batch_size=("positive", self.batch_size > 0),
            lr=("positive", self.lr > 0),
            decay=("positive", self.decay > 0),
            clip=("positive", self.clip > 0),
            balance=("at least 0", self.balance >= 0),
            total=("at least 0", self.total >= 0),
            drops=("at least 0", self.drops >= 0),
        )


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

    Differences from the paper: batches are of one graph; sets are weighted (`balance`); the spread and its gradients
    may be taught, too (`total`, `drops`); the rate falls by steps; the loss on validation selects, not the error of the
    spread; what is selected is kept, where the released code saves the last epoch.
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
    adam = torch.optim.Adam(parameters, lr=options.lr)
    steps = options.epochs * sum(-(-len(one) // options.batch_size) for one in examples)
    schedule = torch.optim.lr_scheduler.ExponentialLR(adam, options.decay ** (1 / steps))
    began, interrupted = time.perf_counter(), False
    losses = [_loss(network, validation, options)]
    kept, best = 0, _copied(network)
    bar = tqdm(total=steps, desc="train", leave=False, disable=None if options.progress else True)
    try:
        for _ in range(options.epochs):
            for one, rows in _batches(examples, options.batch_size, random):
                loss = _errors(network, one, rows, options).sum()
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


def _errors(network: Surrogate, one: Examples, rows: Tensor, options: TrainingOptions) -> Tensor:
    """The loss of each of these sets, [k]."""
    activation, p = one.activation[rows], one.probability[rows].requires_grad_(options.drops > 0)
    answers, spread = network(one.graph, one.seeds[rows], p), activation.sum(1)
    wrong = (answers - activation).square().sum(1) / spread**options.balance
    wrong = wrong + options.total * (answers.sum(1) / spread - 1).square()
    if not options.drops:
        return wrong
    (slopes,) = torch.autograd.grad(answers.sum(), p, create_graph=True)
    # Nothing hangs on an arc into a seed, but a network that cannot tell seeds beforehand answers by what comes in.
    missed = (p * slopes - one.drops[rows]) * (1 - one.seeds[rows][:, one.graph.target])
    return wrong + options.drops * missed.square().sum(1) / (1 + spread - one.seeds[rows].sum(1)).square()


def _loss(network: Surrogate, validation: Sequence[Examples], options: TrainingOptions) -> float:
    """The mean loss of a set."""
    with torch.set_grad_enabled(options.drops > 0):
        found = [
            _errors(network, one, rows, options).detach()
            for one in validation
            for rows in torch.arange(len(one)).split(options.batch_size)
        ]
    return float(torch.cat(found).mean())


def _copied(network: Surrogate) -> dict[str, Tensor]:
    # Copies: a state dict holds the parameters themselves, which go on changing.
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
