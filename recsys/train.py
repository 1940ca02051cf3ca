"""The two trainers: one that converges, one that samples."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from recsys.graph import BipartiteGraph
from recsys.objectives import SampledObjective
from recsys.objectives.model_loss import ModelLoss
from unlearn.devices import elapsed
from unlearn.history import AdamState, Checkpoint, History, Monitor
from unlearn.invalid import require
from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.lbfgs import lbfgs
from unlearn.solvers.room import require_room
from unlearn.solvers.vectors import norm
from unlearn.streams import uniforms

P = TypeVar("P", bound=Problem)
Keep = Literal["checkpoints", "optimizer"]


@dataclass(frozen=True)
class TrainingOptions:
    """What every training run is told beside the model and the objective.

    Converging: L-BFGS until the gradient norm is at most `tolerance` times the norm of the penalty's own gradient
    (a measure free of the data's scale and of the start). Stochastic: Adam over coupled batches.

    `keep` of "checkpoints" keeps one every `checkpoint_every` epochs, and in a run of fewer than twice as many epochs
    one every half of it, so that there is always one to go back to (but for a run of one epoch).
    """

    seed: int = 0
    init_std: float = 0.1
    tolerance: float = 2e-5
    max_iterations: int = 2000
    memory: int = 20
    epochs: int = 100
    batch_size: int = 2048
    batches: int | None = None  # per epoch; fixed by the first training, so that a smaller data set keeps its batches
    lr: float = 1e-3
    keep: frozenset[Keep] = frozenset()
    checkpoint_every: int = 10
    progress: bool = False

    def __post_init__(self) -> None:
        require(
            self,
            init_std=("positive", self.init_std > 0),
            tolerance=("at least 0", self.tolerance >= 0),
            max_iterations=("positive", self.max_iterations > 0),
            memory=("positive", self.memory > 0),
            epochs=("positive", self.epochs > 0),
            batch_size=("positive", self.batch_size > 0),
            batches=("positive or None", self.batches is None or self.batches > 0),
            lr=("positive", self.lr > 0),
            checkpoint_every=("positive", self.checkpoint_every > 0),
            keep=('empty or of "checkpoints" and "optimizer"', set(self.keep) <= {"checkpoints", "optimizer"}),
        )

    @property
    def checkpoint_period(self) -> int:
        """Epochs from one checkpoint to the next."""
        return min(self.checkpoint_every, max(1, self.epochs // 2))

    def polished(self) -> TrainingOptions:
        """The same run taken to where float32 ends: for references that others are measured against."""
        return replace(self, tolerance=0.25 * self.tolerance, max_iterations=2 * self.max_iterations)


def train(problem: P, loss: ModelLoss, init: Params, monitor: Monitor | None = None) -> P:
    """The trained problem, of which this is the loss; interrupted by the keyboard, the state reached so far."""
    if isinstance(loss.objective, SampledObjective):
        return resume(problem, loss, Checkpoint(0, init), monitor)
    return _converge(problem, loss.objective.l2, init, monitor)


def _converge(problem: P, l2: float, init: Params, monitor: Monitor | None) -> P:
    options: TrainingOptions = problem.options
    start, most, memory = flatten(init), options.max_iterations, options.memory
    remedy = "lower `dim` (--dim), or `memory` of TrainingOptions from Python"
    require_room(start, memory=memory, max_iterations=most, remedy=remedy)
    landscape = problem.training_landscape()
    started = time.perf_counter()
    paused = 0.0

    with tqdm(total=most, desc="train", disable=quiet(options), leave=False) as bar:

        def watch(iteration: int, value: float, residual: float) -> bool:
            nonlocal paused
            bar.set_postfix_str(f"objective {value:.6g}, residual {residual:.2g}")
            bar.update()
            if monitor is not None:
                seconds = elapsed(started) - paused
                stop = monitor(iteration, seconds, lambda: unflatten(landscape.point.clone(), init))
                paused = elapsed(started) - seconds
                if stop:
                    return True
            return residual <= options.tolerance * 2.0 * l2 * float(landscape.point.norm())

        try:
            reached = lbfgs(landscape, start, max_iterations=most, memory=memory, callback=watch).residual
        except KeyboardInterrupt:  # the state reached is the result, wherever the latest step had come to
            landscape.start(landscape.point.clone())
            reached = norm(landscape.gradient())
    history = History(
        residual=reached,
        seconds=elapsed(started) - paused,
        seed=options.seed,
        hooks=problem.history.hooks,
    )
    return problem.with_params(unflatten(landscape.point.clone(), init), history=history)


def resume(problem: P, loss: ModelLoss, start: Checkpoint, monitor: Monitor | None = None) -> P:
    """Stochastic training from a checkpoint on, with the draws of the epochs after it."""
    objective, graph, options = loss.objective, loss.graph, problem.options
    assert isinstance(objective, SampledObjective) and isinstance(options, TrainingOptions)
    batches = options.batches or max(1, -(-graph.n_edges // options.batch_size))
    params = {name: value.detach().clone().requires_grad_() for name, value in start.params.items()}
    optimizer = _adam(params, options.lr, start.optimizer)
    checkpoints: list[Checkpoint] = []
    started = time.perf_counter()
    paused = 0.0
    try:
        epochs = range(start.epoch + 1, options.epochs + 1)
        for epoch in tqdm(epochs, desc="train", disable=quiet(options), leave=False):
            for batch, records in enumerate(coupled_batches(graph, epoch, batches, options.seed)):
                optimizer.zero_grad()
                losses = loss.sampled_losses(params, records, epoch=epoch, batch=batch)
                value = losses.sum() * batches + objective.penalty(params)
                for hook in problem.history.hooks:
                    value = value + hook(problem, params)
                (value / max(graph.n_edges, 1)).backward()  # pyright: ignore[reportUnknownMemberType]
                optimizer.step()
            if "checkpoints" in options.keep and epoch % options.checkpoint_period == 0:
                state = _remembered(optimizer, params, start.optimizer)
                checkpoints.append(Checkpoint(epoch, _snapshot(params), state))
            if monitor is not None:
                seconds = elapsed(started) - paused
                stop = monitor(epoch, seconds, lambda: _snapshot(params))
                paused = elapsed(started) - seconds
                if stop:
                    break
    except KeyboardInterrupt:
        pass  # the state reached is the result
    history = History(
        seconds=elapsed(started) - paused,
        seed=options.seed,
        checkpoints=tuple(checkpoints),
        optimizer=_remembered(optimizer, params, start.optimizer) if "optimizer" in options.keep else None,
        hooks=problem.history.hooks,
    )
    return problem.with_params(_snapshot(params), history=history).with_options(replace(options, batches=batches))


def coupled_batches(graph: BipartiteGraph, epoch: int, batches: int, seed: int) -> list[Tensor]:
    """One epoch's records as `batches` index tensors: each record's batch is a draw of its own.

    Some may be empty. A step is taken on them, too: without a user everybody else's steps are as many as with them, and
    draw by the same numbers.
    """
    rows, cols = graph.rows.cpu().numpy(), graph.cols.cpu().numpy()
    draw = uniforms(seed, "batches", epoch, graph.user_keys[rows], graph.item_keys[cols])
    member = (draw * batches).astype(np.int64)
    order = np.argsort(draw, kind="stable")
    cuts = np.searchsorted(member[order], np.arange(1, batches))
    return [torch.from_numpy(part).to(graph.rows.device) for part in np.split(order, cuts)]


def _snapshot(params: Params) -> Params:
    return {name: value.detach().clone() for name, value in params.items()}


def _adam(params: Params, rate: float, before: AdamState | None) -> torch.optim.Adam:
    optimizer = torch.optim.Adam(list(params.values()), lr=rate)
    if before is not None:
        for name, value in params.items():
            moments = {"exp_avg": before.mean[name].clone(), "exp_avg_sq": before.square[name].clone()}
            optimizer.state[value] = {"step": torch.tensor(float(before.steps)), **moments}
    return optimizer


def _remembered(optimizer: torch.optim.Adam, params: Params, before: AdamState | None) -> AdamState | None:
    """What `_adam` goes on from; None before the first step."""
    states: dict[str, dict[str, Tensor]] = {name: optimizer.state.get(value, {}) for name, value in params.items()}
    if not all(states.values()):
        return None
    mean, square = ({name: state[key].clone() for name, state in states.items()} for key in ("exp_avg", "exp_avg_sq"))
    steps = int(next(iter(states.values()))["step"])  # every parameter is in the penalty, so it is moved in every step
    steps_before, rates_before = (before.steps, before.rates) if before else (0, 0.0)
    return AdamState(mean, square, steps, rates_before + optimizer.param_groups[0]["lr"] * (steps - steps_before))


def quiet(options: TrainingOptions) -> bool | None:
    """What tqdm's `disable` is to be."""
    return None if options.progress else True  # None: tqdm shows itself on a terminal only
