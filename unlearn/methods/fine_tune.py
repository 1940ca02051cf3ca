"""Training on: a few more epochs on what remains."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, register
from unlearn.problem import Problem, flatten, unflatten
from unlearn.solvers.adam import Adam


@register
@dataclass(frozen=True, kw_only=True)
class FineTune(Unlearner):
    """`epochs` full-batch Adam steps of rate `lr` on the remaining objective, from the old parameters.

    It relies on the model losing what nothing reminds it of. An epoch is one step, because a problem has one
    deterministic objective; a stochastic trainer would take one step a batch.

    Raises:
        ValueError: `epochs` or `lr` is not positive.
    """

    epochs: int = 10
    lr: float = 1e-2

    name = "fine_tune"

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.epochs < 1:
            problems.append(f"`epochs` must be a positive integer for `fine_tune` (got {self.epochs})")
        if not self.lr > 0:
            problems.append(f"`lr` must be positive for `fine_tune` (got {self.lr})")
        if problems:
            raise ValueError("\n".join(problems))

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        x = flatten(remaining.settled(forget))
        adam = Adam(x, lr=self.lr)
        for _ in range(self.epochs):
            _, gradient = remaining.value_and_gradient(unflatten(x, remaining.params))
            adam.step(x, flatten(gradient))
        return remaining.with_params(unflatten(x, remaining.params)), state
