"""SCRUB: a student that disobeys its teacher on what is forgotten and obeys on the rest."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import register
from unlearn.methods.distillation import Classroom, PredictionMethod, mean
from unlearn.methods.gradient import Update, descend
from unlearn.params import Params, differentiate, flatten
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class Scrub(PredictionMethod):
    """Away from the original on the forgotten records, towards it on the others, turn by turn.

    Kurmanji, Triantafillou, Hayes and Triantafillou, "Towards unbounded machine unlearning", 2023, arXiv 2302.09880.

        minimise  alpha mean_R d(o, x) + gamma L_R / n_R - mean_F d(o, x)

    with o the original, d the divergence of what the student x predicts from what o does
    (`distillation.divergence`; for a recommender the distribution over items that a user gets) and L_R the remaining
    objective. The first `max_steps` of `steps` steps on the first two terms are each preceded by one on the third.

    d is flat where the student is its teacher: the first ascent has nothing to go by where the remaining graph alone
    does not already part them, and it is the step on L_R after it that opens the distance.

    Memory: six vectors of the parameters' size, and `sample` predictions a step.

    Args:
        sample: at most so many records of either kind enter d at a step, drawn anew each time.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** full-batch steps, records for d sampled; L_R has the objective's background and
    penalty; forgotten records are asked on the remaining graph; no rewinding to an earlier epoch. alpha, gamma and the
    temperature are those of the released code.
    """

    alpha: float = 0.001
    gamma: float = 0.99
    temperature: float = 4.0
    steps: int = 10
    max_steps: int = 5
    lr: float = 1e-2
    update: Update = "adam"
    sample: int = 1024

    name = "scrub"

    def __post_init__(self) -> None:
        require(
            self,
            alpha=("at least 0", self.alpha >= 0),
            gamma=("at least 0", self.gamma >= 0),
            temperature=("positive", self.temperature > 0),
            steps=("a positive integer", self.steps >= 1),
            max_steps=("between 0 and `steps`", 0 <= self.max_steps <= self.steps),
            lr=("positive", self.lr > 0),
            sample=("a positive integer", self.sample >= 1),
        )

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        room = Classroom.of(problem, remaining, forget, sample=self.sample, temperature=self.temperature)
        original, weight = problem.params, self.gamma / max(remaining.n_records, 1)

        def against(k: int, params: Params) -> Tensor:
            if k < 2 * self.max_steps and k % 2 == 0:
                return differentiate(lambda leaves: -mean(room.on_forgotten(k, original, leaves)), params)[1]
            obedience = differentiate(lambda leaves: mean(room.on_remaining(k, original, leaves)), params)[1]
            task = flatten(remaining.value_and_gradient(params)[1])
            return task.mul_(weight).add_(obedience, alpha=self.alpha)

        start = remaining.settled(forget)
        steps = self.steps + self.max_steps
        return descend(start, against, steps=steps, lr=self.lr, update=self.update, mask=mask)
