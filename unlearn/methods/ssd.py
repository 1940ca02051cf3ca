"""Selective synaptic dampening: shrink what matters to the forgotten records far more than to the rest."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import State, Unlearner, register
from unlearn.methods.fisher import PROBES, squared_gradients
from unlearn.methods.gradient import settled
from unlearn.params import flatten, unflatten
from unlearn.problem import Problem


@register
@dataclass(frozen=True, kw_only=True)
class SSD(Unlearner):
    """No training: parameters are scaled down by how much more they matter to what is forgotten.

    Foster, Schoepf and Brintrup, "Fast machine unlearning without retraining through selective synaptic dampening",
    2024, arXiv 2308.07707.

        x_j <- min(strength I_D,j / I_F,j, 1) x_j   where   I_F,j > threshold I_D,j

    with I_X the mean over the records of X of the squares of their own derivatives, the diagonal of the empirical
    Fisher matrix, at the original parameters; D is everything, F the forgotten. Of a request that is as good as random
    both are about the same, and hardly anything happens; and since I_F is at most n_D / n_F times I_D, nothing at all
    where the threshold is above that.

    An estimate of a sum cannot be freed of single records, so none is handed on: every request computes I_D anew, but
    for the first, for which `prepare` does.

    Memory: I_D, one vector of the parameters' size, and three more while a request is served.

    Args:
        threshold: alpha of the paper.
        strength: lambda of the paper.
        probes: backward passes for I; of more records than that it is an estimate (`fisher.squared_gradients`).

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** single records' squares as in its text, where the released code squares batch means;
    estimated by random signs where records are many; rows that only the forgotten data determined are cleared. The
    losses are the records' alone, without background and penalty.
    """

    threshold: float = 10.0
    strength: float = 1.0
    probes: int = PROBES

    name = "ssd"

    def __post_init__(self) -> None:
        require(
            self,
            threshold=("positive", self.threshold > 0),
            strength=("at least 0", self.strength >= 0),
            probes=("a positive integer", self.probes >= 1),
        )

    def prepare(self, problem: Problem) -> State:
        self._check(problem)
        started = time.perf_counter()
        squares = self._squares(problem, torch.arange(problem.n_records))
        return State.of(squares, seconds=elapsed(started))

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, None]:
        records = problem.records(forget)
        state = self.prepare(problem) if state is None else state
        everything: Tensor = state.payload
        forgotten = self._squares(problem, records)
        of_all = everything / problem.n_records
        of_forgotten = forgotten / max(records.numel(), 1)
        factor = (self.strength * of_all / of_forgotten).clamp_max(1.0)
        x = flatten(problem.params)
        x = torch.where(of_forgotten > self.threshold * of_all, factor * x, x)
        return settled(remaining, unflatten(x, problem.params), forget), None

    def _squares(self, problem: Problem, records: Tensor) -> Tensor:
        return squared_gradients(problem, problem.params, records, probes=self.probes)
