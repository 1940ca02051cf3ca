"""Teachers and students: how far what one model predicts is from what another does, record by record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.methods.gradient import Forgotten, GradientMethod
from unlearn.params import Params
from unlearn.problem import Problem
from unlearn.streams import integers


class PredictionMethod(GradientMethod):
    """A gradient method that goes by what a model predicts; the loss of a record does not tell."""

    def _obstacle(self, problem: Problem) -> str | None:
        if problem.predicts:
            return None
        return f"`{self.name}` must be told what the model predicts (got none); pass `predictions` to `attach`"


def divergence(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """How far the student is from the teacher, for each record [r].

    For logits [r, c]: T^2 KL(softmax(teacher / T) | softmax(student / T)). For values [r]: (teacher - student)^2 / 2,
    the same between normal distributions of unit variance, where T cancels. Logits are compared in float64: the
    derivative is 0 where the student is its teacher, and Adam makes whole steps of what rounding leaves there.
    """
    if teacher.dim() == 1:
        return 0.5 * (teacher - student).square()
    wanted, got = (torch.log_softmax(logits.double() / temperature, 1) for logits in (teacher, student))
    return temperature**2 * (wanted.exp() * (wanted - got)).sum(1)


def of_classes_left(remaining: Problem, predictions: Tensor) -> Tensor:
    """The predictions [r, c] of any model without the columns of classes that are forgotten; values as they are."""
    left = remaining.classes_left()
    return predictions if left is None else predictions[:, left.to(predictions.device)]


@dataclass(frozen=True)
class Classroom:
    """A student on the remaining graph, teachers on the graph of the original, at most `sample` records a lesson.

    Both are asked about the classes that are left: what is forgotten is no answer, nor anything to learn.
    """

    problem: Problem
    remaining: Problem
    seen: Forgotten
    kept: Tensor  # [n remaining]: where the remaining records lie in the original
    sample: int
    temperature: float

    @classmethod
    def of(
        cls, problem: Problem, remaining: Problem, forget: ForgetSet, *, sample: int, temperature: float
    ) -> Classroom:
        seen = Forgotten.of(problem, forget)
        left = torch.ones(problem.n_records, dtype=torch.bool, device=seen.records.device)
        left[seen.records] = False
        return cls(problem, remaining, seen, left.nonzero().flatten(), sample, temperature)

    def on_remaining(self, step: int, teacher: Params, student: Params) -> Tensor:
        """Divergences [r] on remaining records, drawn anew at every step where there are more than `sample`."""
        chosen = drawn("distillation/remaining", step, self.kept, self.sample)
        with torch.no_grad():
            wanted = self.problem.predictions(teacher, self.kept[chosen])
        return self._divergence(wanted, self.remaining.predictions(student, chosen))

    def on_forgotten(self, step: int, teacher: Params, student: Params) -> Tensor:
        """Likewise on forgotten records."""
        chosen = self.seen.records[drawn("distillation/forgotten", step, self.seen.records, self.sample)]
        with torch.no_grad():
            wanted = self.problem.predictions(teacher, chosen)
        return self._divergence(wanted, self.seen.problem.predictions(student, chosen))

    def _divergence(self, wanted: Tensor, found: Tensor) -> Tensor:
        wanted, found = (of_classes_left(self.remaining, one) for one in (wanted, found))
        return divergence(wanted, found, self.temperature)


def drawn(purpose: str, step: int, of: Tensor, sample: int) -> Tensor:
    """Places in `of` [r] at that step: all, or `sample` of them at random where there are more."""
    if of.numel() <= sample:
        return torch.arange(of.numel(), device=of.device)
    return torch.from_numpy(integers(0, purpose, of.numel(), step, np.arange(sample))).to(of.device)


def mean(divergences: Tensor) -> Tensor:
    """Their mean, 0 of none."""
    return divergences.sum() / max(divergences.numel(), 1)
