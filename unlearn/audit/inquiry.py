"""What the models of a pool say about one request: before, after a method, and retrained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from unlearn.audit.attacks.base import Evidence
from unlearn.audit.contract import Examples
from unlearn.audit.pool import ModelPool, Plan
from unlearn.audit.signals import NoAnswer, Signals
from unlearn.forget import ForgetSet
from unlearn.methods.base import Unlearner, method
from unlearn.params import Params, differentiate, flatten, unflatten
from unlearn.problem import Fitted, Problem
from unlearn.solvers.adam import Adam

Parts = dict[str, Signals]


@dataclass(frozen=True, eq=False)
class Questions:
    """What a model is asked in one go: about the examples; about the forgotten with the deleted data back; relearning.

    The last two put its parameters over `whole`, the problem that has everything.
    """

    whole: Problem
    forget: ForgetSet
    examples: Examples
    steps: int
    lr: float = 0.01  # of Adam, when it learns the forgotten again

    @property
    def units(self) -> Tensor:
        """The unit that each answer belongs to; -1 for none."""
        units = self.examples.units
        none = units.new_full((self.steps + 1,), -1)
        return torch.cat([units, units[self.examples.groups["forget"]], none])

    def __call__(self, model: Fitted) -> Tensor:
        """All answers of a model.

        Raises:
            NoAnswer: a method served with something that has no parameters to look into.
        """
        if not isinstance(model, Problem):
            raise NoAnswer(f"a method must leave a Problem for an audit by attacks (got a {type(model).__name__})")
        back = self.whole.with_params(model.params)
        again = self.examples.signal(back)[self.examples.groups["forget"]]
        return torch.cat([self.examples.signal(model), again, -self._relearned(back)])

    def _relearned(self, back: Problem) -> Tensor:
        """Mean loss of the forgotten records [steps + 1] while Adam minimises it."""
        records = back.records(self.forget)
        x = flatten(back.params).clone()
        adam = Adam(x, lr=self.lr)
        losses: list[float] = []

        def loss(params: Params) -> Tensor:
            return back.record_losses(params, records).mean()

        for _ in range(self.steps):
            value, gradient = differentiate(loss, unflatten(x, back.params))
            losses.append(value)
            adam.step(x, gradient)
        with torch.no_grad():
            losses.append(float(loss(unflatten(x, back.params))))
        return torch.tensor(losses, dtype=torch.float64)


@dataclass(frozen=True)
class Inquiry:
    """One request to a pool of models over random halves, asked about the same examples throughout.

    All models are asked before and after a method. Of the second half of them, a second pool holds the retrains, over
    the same halves without what is forgotten: what a unit's lot is depends on the unit alone. Both pools are kept in
    one folder, so that whoever asks again, by another method too, trains nothing again.

    Args:
        forget: resolved on `problem`; unknown: the part of a corruption that it does not name; models: a multiple of
            four, so that pairs of complements stay together.

    Raises:
        ValueError: `models` is no multiple of four.
    """

    problem: Problem
    forget: ForgetSet
    examples: Examples
    folder: Path
    models: int
    unknown: ForgetSet | None = None
    seed: int = 0
    jobs: int = 1
    steps: int = 20  # of learning the forgotten again

    def __post_init__(self) -> None:
        if self.models < 4 or self.models % 4:
            raise ValueError(f"`models` must be a positive multiple of four for an audit (got {self.models})")

    def of(self, unlearner: Unlearner, *, instead: ForgetSet | None = None) -> Evidence:
        """The evidence of a method; `instead`, it forgets something else and is asked about the same.

        Raises:
            NoAnswer: the method ends in signals that are no finite numbers, or in what cannot be asked.
            MissingRequirement: the method cannot be applied.
        """
        told = self.pool.unlearned(unlearner, instead or self.forget, self.questions, units=self.questions.units)
        return Evidence(self.shared | self._parts(told, ("unlearned", "reinserted")), self.seed)

    @property
    def questions(self) -> Questions:
        """What every model is asked."""
        return Questions(self.problem, self.forget, self.examples, self.steps)

    @cached_property
    def pool(self) -> ModelPool:
        """The models as they are trained."""
        return ModelPool(self.problem, self._plan(self.problem), self.folder, jobs=self.jobs)

    def retrains(self, forget: ForgetSet) -> ModelPool:
        """The second half of the models without what is forgotten."""
        remaining = self.problem.without(forget)
        plan = self._plan(remaining)
        half = self.models // 2
        later = replace(plan, member=plan.member[half:], seeds=plan.seeds[half:], blocks=plan.blocks[half:])
        return ModelPool(remaining, later, self.folder, jobs=self.jobs)

    @cached_property
    def shared(self) -> Parts:
        """What does not depend on the method: the models before, and retrained."""
        asked = self.questions
        before = self.pool.unlearned(method("no_op"), self.forget, asked, units=asked.units)
        parts = self._parts(before, ("before",))
        references = {"retrained": self.forget}
        if self.unknown is not None:
            references["clean"] = self.forget | self.unknown
        theirs = before.rows(range(self.models // 2, self.models))
        for stage, gone in references.items():
            told = self.retrains(gone).signals(asked, units=torch.full_like(asked.units, -1))
            parts |= self._parts(Signals(told.values, theirs.member, theirs.blocks, theirs.models), (stage,))
        return parts

    def _plan(self, problem: Problem) -> Plan:
        units = problem.units(self.examples.unit)
        return Plan.halves(len(units), self.models, self.seed, unit=self.examples.unit, keys=units.keys)

    def _parts(self, told: Signals, stages: tuple[str, ...]) -> Parts:
        n, groups = len(self.examples.units), self.examples.groups
        end = n + (groups["forget"].stop - groups["forget"].start)
        first = stages[0]
        parts = {f"{first}.{group}": told.columns(where) for group, where in groups.items()}
        parts[f"{first}.relearning"] = told.columns(slice(end, None))
        if len(stages) > 1:
            parts[f"{stages[1]}.forget"] = told.columns(slice(n, end))
        return parts
