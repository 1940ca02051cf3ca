"""The model pool: fill it once, ask it many times."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs
from torch import Tensor
from tqdm import tqdm

from unlearn.audit.pool.plan import Plan
from unlearn.audit.pool.store import Store, Stored
from unlearn.audit.pool.training import Trainer
from unlearn.audit.signals import NoAnswer, Signals
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.memory import keep_freed_memory
from unlearn.methods.base import Unlearner
from unlearn.problem import Problem
from unlearn.units import Units

R = TypeVar("R")
Signal = Callable[[Problem], Tensor]
"""model -> [examples]: what it says about each; the larger, the more it speaks for membership."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What filling a pool takes, going by the median of the models that are stored."""

    models: int
    missing: int
    workers: int
    seconds: float  # for those that are missing
    peak_bytes: int  # memory of one worker
    disk_bytes: int  # of all models

    def __str__(self) -> str:
        return (
            f"{self.missing} of {self.models} models to train: about {self.seconds / 60:.1f} min with {self.workers} "
            f"worker(s) of {self.peak_bytes / 1e9:.1f} GB; {self.disk_bytes / 1e6:.0f} MB on disk in the end"
        )


class ModelPool:
    """Models of one problem over the subsets of a plan: trained lazily, in parallel, and kept on disk.

    A model is named by the digest of all that its training depends on, so that what is in the folder is found again by
    whatever plan asks for it, after an interruption or a kill as well, and no model is trained twice. A name depends on
    nothing that the model was not trained on. Training runs on one thread, and a process holds one model at a time.

    Args:
        problem: trained or not; its own parameters are never used, only options that its training has settled.
        jobs: worker processes, as joblib counts them: -1 is one for each core, 1 is none beside this one.
        identity: stands for `Problem.digest` where a problem has none; the caller then sees to it that it changes with
            the problem's records, loss and training.

    Raises:
        ValueError: the plan is for other units than the problem has, or the problem has no digest.
    """

    def __init__(
        self, problem: Problem, plan: Plan, folder: Path, *, jobs: int = -1, identity: str | None = None
    ) -> None:
        units = problem.units(plan.unit)
        if plan.member.shape[1] != len(units):
            raise ValueError(
                f'`plan` must be for the {len(units)} units "{plan.unit}" of this problem (got {plan.member.shape[1]})'
            )
        if identity is None:
            problem.digest()  # says now what it lacks
        self._trainer = Trainer(_untrained(problem), plan, Store(Path(folder)), identity)
        self.jobs = jobs

    @property
    def problem(self) -> Problem:
        """The problem that all models are trained on a part of."""
        return self._trainer.problem

    @property
    def plan(self) -> Plan:
        """Which model is trained on which units."""
        return self._trainer.plan

    def __len__(self) -> int:
        return len(self.plan)

    def fill(self) -> None:
        """Train what is missing; what is finished stays, whatever happens."""
        self._each(Trainer.train, "train")

    def model(self, j: int) -> Problem:
        """Trained model `j` over its own remaining data; trains it if it is missing."""
        return self._trainer.model(range(len(self))[j])

    def signals(self, signal: Signal, *, units: Tensor | None = None) -> Signals:
        """What every model says about the same examples.

        Args:
            units: the unit [examples] that each example belongs to, -1 for none (held out); None: example e is unit e.
                Of records it is `problem.units(plan.unit).owners`.

        Raises:
            NoAnswer: what the signal returns is not finite.
            ValueError: `units` does not fit it.
        """
        return self._collect(lambda model: _vector(signal(model)), units, "signal")

    def unlearned(
        self, method: Unlearner, forget: ForgetSet, signal: Signal, *, units: Tensor | None = None
    ) -> Signals:
        """The same after every model has unlearned the part of `forget` that it was trained on.

        `member` says who had been trained on an example, whatever was unlearned since.

        Raises:
            UnknownIds: `forget` names what the problem does not hold.
            MissingRequirement: the method cannot be applied.
            NoAnswer, ValueError: as for `signals`.
        """
        forget = self.problem.resolve(forget)

        def after(model: Problem) -> Tensor:
            part = model.resolve(forget, unknown="skip")
            result = method.forget(model, part, method.prepare(model))
            return _vector(signal(result.problem))  # pyright: ignore[reportArgumentType]

        return self._collect(after, units, method.name)

    def purge(self, forget: ForgetSet) -> int:
        """Delete the stored models that were trained on any of `forget`; how many there were.

        Whatever else is in the folder and is not a model of this plan goes as well: nothing shows that it was trained
        without. The pool then stands on the remaining data; what was trained without the forgotten keeps its name.

        Raises:
            UnknownIds: `forget` names what the problem does not hold; nothing has changed.
        """
        forget = self.problem.resolve(forget)
        names = self._each(lambda trainer, j: trainer.address_without(j, forget), "purge")
        gone = self._trainer.store.retain(name for name in names if name is not None)
        remaining = self.problem.without(forget)
        plan = _restricted(self.plan, self.problem.units(self.plan.unit), remaining.units(self.plan.unit))
        self._trainer = replace(self._trainer, problem=remaining, plan=plan)
        return gone

    def estimate(self) -> Estimate:
        """What `fill` will take, going by a model that is stored; trains one where there is none."""
        found = self._each(lambda trainer, j: _size(trainer.stored(j)), "look")
        known = [one for one in found if one is not None]
        if not known:
            first = self._each(lambda trainer, j: (trainer.model(j), _size(trainer.stored(j)))[1], "first", range(1))
            known = [one for one in first if one is not None]
        missing, workers = len(self) - max(len(known), 1), int(effective_n_jobs(self.jobs))  # pyright: ignore[reportArgumentType]
        seconds, peak, size = (sorted(values)[len(values) // 2] for values in zip(*known, strict=True))
        return Estimate(len(self), missing, workers, seconds * -(-missing // workers), int(peak), int(size) * len(self))

    def _collect(self, said: Callable[[Problem], Tensor], units: Tensor | None, description: str) -> Signals:
        values = torch.stack(self._each(lambda trainer, j: said(trainer.model(j)), description))
        if wrong := int((~values.isfinite()).sum()):
            raise NoAnswer(
                f"`{description}` must end in finite signals (got {wrong} of {values.numel()} others): it diverges"
            )
        if units is None:
            units = torch.arange(self.plan.member.shape[1])
        if units.shape != values.shape[1:]:
            raise ValueError(
                f"`units` must name the unit of each of the {values.shape[1]} examples that the signal tells "
                f"(got {list(units.shape)}); of records it is `problem.units(plan.unit).owners`"
            )
        member = self.plan.member[:, units] & (units >= 0)
        return Signals(values, member, torch.tensor(self.plan.blocks))

    def _each(self, work: Callable[[Trainer, int], R], description: str, models: range | None = None) -> list[R]:
        """What the work gives for every model, in their order; in parallel."""
        models = range(len(self)) if models is None else models
        task = delayed(_in_worker)
        # Nothing is to be pickled to disk on the way, however large the arrays.
        parallel = Parallel(n_jobs=self.jobs, return_as="generator", max_nbytes=None, prefer="processes")
        results = parallel(task(work, self._trainer, j, os.getpid()) for j in models)
        found: list[Any] = list(tqdm(results, total=len(models), desc=description, disable=None, unit="model"))
        return found


def _in_worker(work: Callable[[Trainer, int], R], trainer: Trainer, j: int, parent: int) -> R:
    if os.getpid() != parent:  # a process that the pool has to itself
        keep_freed_memory()
    return work(trainer, j)


def _untrained(problem: Problem) -> Problem:
    """Without what training made of it: no model of the pool comes of that, and it need not travel."""
    nothing = {name: value.new_zeros(()).expand(value.shape) for name, value in problem.params.items()}
    return problem.with_params(nothing, history=History(hooks=problem.history.hooks))


def _vector(told: Tensor) -> Tensor:
    """Signals as they travel between processes."""
    return told.detach().double().flatten().cpu()


def _size(stored: Stored | None) -> tuple[float, float, float] | None:
    """Seconds, peak memory and bytes on disk of a stored model."""
    if stored is None:
        return None
    tensors = [*stored.params.values(), *stored.history.tensors().values()]
    return stored.seconds, stored.peak_bytes, sum(value.nbytes for value in tensors)


def _restricted(plan: Plan, before: Units, after: Units) -> Plan:
    """The plan for what is left: a forgotten unit has gone, or has kept its number and is in no model."""
    kept = torch.from_numpy(np.isin(before.keys, after.keys[after.keys != 0]))
    member = plan.member & kept if len(before) == len(after) else plan.member[:, kept]
    return replace(plan, member=member)
