"""Bad teaching: learn the forgotten from one who knows nothing, the rest from the original."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import register
from unlearn.methods.distillation import Classroom, PredictionMethod
from unlearn.methods.gradient import Update, descend
from unlearn.params import Params, differentiate, flatten, unflatten
from unlearn.problem import Problem
from unlearn.streams import normals


@register
@dataclass(frozen=True, kw_only=True)
class BadTeacher(PredictionMethod):
    """A student of two teachers: the original for remaining records, a random model for forgotten ones.

    Chundawat, Tarun, Mandal and Kankanhalli, "Can bad teaching induce forgetting? Unlearning in deep neural networks
    using an incompetent teacher", 2023, arXiv 2205.08096.

        minimise  [ sum_R d(o, x) + sum_F d(r, x) ] / (records of both)

    with o the original, r a model of random parameters and d the divergence of what the student x predicts
    (`distillation.divergence`). The student starts as the original. Of a recommender both teachers may speak about the
    same user, and the student then learns a mixture: who has much left is hardly changed by the loss of a few items.
    On small data forgotten items fell for matrix factorisation, and mostly did not for LightGCN.

    Memory: six vectors of the parameters' size, and `sample` predictions of either kind a step.

    Args:
        sample: at most so many records of either kind at a step, drawn anew each time.
        seed: of the random model: normal entries with each parameter's own mean square.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** full-batch steps on sampled records, where the paper takes epochs over the forgotten
    and 30 % of the others; the random model has the original's scale, because a `Problem` does not tell how it was
    initialised; forgotten records are asked on the remaining graph.
    """

    temperature: float = 1.0
    steps: int = 10
    lr: float = 1e-2
    update: Update = "adam"
    sample: int = 1024
    seed: int = 0

    name = "bad_teacher"

    def __post_init__(self) -> None:
        require(
            self,
            temperature=("positive", self.temperature > 0),
            steps=("a positive integer", self.steps >= 1),
            lr=("positive", self.lr > 0),
            sample=("a positive integer", self.sample >= 1),
        )

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        room = Classroom.of(problem, remaining, forget, sample=self.sample, temperature=self.temperature)
        competent, incompetent = problem.params, random_like(problem.params, self.seed)

        def against(k: int, params: Params) -> Tensor:
            def both(leaves: Params) -> Tensor:
                return torch.cat(
                    [room.on_remaining(k, competent, leaves), room.on_forgotten(k, incompetent, leaves)]
                ).mean()

            return differentiate(both, params)[1]

        start = remaining.settled(forget)
        return descend(start, against, steps=self.steps, lr=self.lr, update=self.update, mask=mask)


def random_like(params: Params, seed: int) -> Params:
    """Normal entries of each parameter's own mean square; nothing else of the parameters is left."""
    flat = flatten(params)
    draws = torch.from_numpy(normals(seed, "bad_teacher", np.arange(flat.numel()))).to(flat)
    return {
        name: draw * params[name].double().square().mean().sqrt().to(draw)
        for name, draw in unflatten(draws, params).items()
    }
