"""The search by weights on two levels: which set is hardest to forget, given how it is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm

from unlearn.interruption import asked_to_end
from unlearn.invalid import require
from unlearn.params import flatten
from unlearn.problem import Problem
from unlearn.streams import uniforms
from unlearn.worst_case.base import Round, Search, Selector, overlap, register
from unlearn.worst_case.budget import Room
from unlearn.worst_case.lower import ByMethod, Lower, Reconverged, SignSteps, Unlearned
from unlearn.worst_case.projection import project, rounded
from unlearn.worst_case.upper import Judge, Objective, Upper, unlearned_losses

_MOSTLY_THE_START = 0.5  # of a set that was there from the start
_HARDLY_MOVED = 0.95  # of the set that the first step gives


@register
@dataclass(frozen=True, kw_only=True)
class Bilevel(Selector):
    """Weights on the units, moved by what a model that forgets as far as they say still fits.

    "Challenging forgets: Unveiling the worst-case forget sets in machine unlearning", 2024, arXiv 2403.07362:

        min_w  f(w, theta_u(w)) = sum_i c_i w_i l_i(theta_u(w)) / m + gamma |w|^2 / m,    0 <= w <= 1,  sum c_i w_i = m
        w <- project(w - rate * df/dw)

    with l_i the mean loss of unit i, asked as far as it is forgotten (`Asking.relaxed`), and c_i = 1, or the records of
    the unit where the budget counts those. For `max_gap` the loss under a retrain that never saw the unit is taken off
    l_i. In a graph model w reaches l_i through the message edges as well, in the loss and in the training.

    Between 0 and 1 this rewards what no set can have: a unit that is half forgotten counts, and is still fitted. So
    the search puts back what forgetting unit i has yet to do to its own loss, d_i = l_i(after i's fold was unlearned) -
    l_i(now), one unlearning a fold (`anticipate`):

        f(w, theta_u(w)) + sum_i c_i w_i (1 - w_i) d_i / m,    which is f on every set.

    What counts in the end is f of a set, so the set of every round is unlearned by itself, and the best is the result.

    Args:
        lower: `implicit` re-converges every round and follows theta_u(w) by the implicit function theorem; `sign` takes
            sign steps from the original, along which theta_u does not move with w (the paper's); `method` lets `by`
            unlearn the set that the weights round to. Where training ends short of a minimum, as an early-stopped
            classifier's does, `implicit` leaves the model that was trained: use another.
        by: the method (`iau`, or `iau:lr=0.02`) of `lower="method"`, and the one by which sets of this selector are
            compared.
        start: `uniform` weights m / sum c; `random` are 0 and 1 as in the released code, which a small rate never
            leaves again: kept to show just that.
        rate: how far a weight moves in a round where its derivative is one standard deviation (that of the first
            round) off the mean.
        gamma: of |w|^2; positive spreads the weights, negative drives them to 0 and 1.
        anticipate: whether d_i is put back; the paper does not.
        messages: whether derivatives go through the message edges: `full`, with `fixed_degrees` in their
            normalisation, or `none`.
        steps: of the sign of the gradient, of size `lr`.
        iterations: of L-BFGS a round, and `products` with the Hessian.
        folds: in which d_i is measured, and in which `max_gap` retrains.

    **Differences from the paper:** the start (see `start`); the rate is free of the losses' scale; d_i, the implicit
    gradient, the message edges and the choice among the rounds are ours (the paper takes the last); steps are full-
    batch, in evaluation mode; no ascent on what is forgotten, as in the released code. The result says in `warnings`
    where the search did not move away from its start.

    Raises:
        ValueError: listing every hyper-parameter that is out of range; there is no such method.
    """

    name = "bilevel"
    objective: Objective = "still_fitted"
    lower: Literal["implicit", "sign", "method"] = "implicit"
    by: str = "reconverge"
    start: Literal["uniform", "random"] = "uniform"
    rounds: int = 20
    rate: float = 0.1
    gamma: float = 0.0
    anticipate: bool = True
    messages: Literal["full", "fixed_degrees", "none"] = "full"
    steps: int = 10
    lr: float = 1e-3
    iterations: int = 15
    products: int = 8
    folds: int = 5

    def __post_init__(self) -> None:
        require(
            self,
            rate=("positive", self.rate > 0),
            lr=("positive", self.lr > 0),
            **{
                name: ("a positive integer", getattr(self, name) >= 1)
                for name in ("rounds", "steps", "iterations", "products")
            },
            folds=("an integer of at least 2", self.folds >= 2),
        )
        self.judged_by()  # knows the method

    def judged_by(self) -> Upper:
        return Upper(self.objective, self.by, self.folds)

    def search(self, problem: Problem, room: Room, seed: int) -> Search:
        judge = self.judged_by().ready(problem, room, seed=seed)
        lower = self._lower(judge)
        ahead = torch.zeros_like(room.costs)
        if self.anticipate:
            ahead = unlearned_losses(judge, self.folds, seed=seed) - judge.asking.trained(problem.params)
        weights = self._first(room, seed)
        start = rounded(room.costs * weights, room.costs, room.total) if self.start == "random" else None
        rounds: list[Round] = []
        warnings: list[str] = []
        before, scale = start, 0.0
        best, judged = weights, inf
        with asked_to_end() as interrupted:
            for number in tqdm(range(self.rounds), desc="rounds", disable=None, leave=False):
                at = lower.unlearn(problem, room, weights)
                value, slope = self.slope(judge, lower, at, ahead)
                if number == 0:
                    scale = float(slope.std())
                    if scale <= 1e-9 * float(slope.abs().max()):
                        warnings.append("every unit looks alike to the upper objective: any set is as good as this one")
                        scale = 1.0
                weights = project(weights - self.rate / scale * slope, room.costs, room.total)
                rows = rounded(room.costs * weights, room.costs, room.total)
                moved = 1.0 if before is None else 1.0 - overlap(rows, before)
                settled = judge.value(rows) if moved or not rounds else rounds[-1].judged
                rounds.append(Round(value, at.objective, moved, settled))
                start, before = rows if start is None else start, rows
                if settled < judged:
                    best, judged = weights, settled
                if interrupted():
                    warnings.append(f"interrupted after {len(rounds)} of {self.rounds} rounds")
                    break
        assert start is not None
        kept = overlap(rounded(room.costs * best, room.costs, room.total), start)
        if self.start == "random" and kept >= _MOSTLY_THE_START:
            warnings.append(
                f"{kept:.0%} of the result is the random set that the search began with: raise `rate`, or start uniform"
            )
        elif self.start == "uniform" and len(rounds) > 1 and kept >= _HARDLY_MOVED:
            warnings.append(f"{kept:.0%} of the result is what the first step alone gives")
        return Search(best, tuple(rounds), start, tuple(warnings))

    def slope(self, judge: Judge, lower: Lower, at: Unlearned, ahead: Tensor) -> tuple[float, Tensor]:
        """What is minimised and its derivative in w, float64 [k], where the lower level is; `ahead` [k] is d."""
        room, problem = judge.room, judge.asking.problem
        leaf = at.weights.clone().requires_grad_()
        params = {name: value.detach().requires_grad_() for name, value in at.params.items()}
        losses = judge.asking.relaxed(
            params, leaf.detach() if self.messages == "none" else leaf, degrees=self.messages == "full"
        )
        left = losses.double() - judge.reference + (1.0 - leaf) * ahead
        value = ((room.costs * leaf * left).sum() + self.gamma * leaf.square().sum()) / room.total
        explicit, *along = torch.autograd.grad(
            value, [leaf, *params.values()], allow_unused=True, materialize_grads=True
        )
        implicit = lower.pulled(problem, room, at, flatten(dict(zip(params, along, strict=True))))
        return float(value.detach()), explicit if implicit is None else explicit + implicit

    def _lower(self, judge: Judge) -> Lower:
        if self.lower == "sign":
            return SignSteps(self.steps, self.lr)
        if self.lower == "method":
            return ByMethod(judge)
        return Reconverged(self.iterations, self.products, degrees=self.messages == "full")

    def _first(self, room: Room, seed: int) -> Tensor:
        if self.start == "uniform":
            return torch.full_like(room.costs, room.total / float(room.costs.sum()))
        draws = torch.from_numpy(uniforms(seed, "worst_case/start", room.keys))
        chosen = rounded(room.costs * draws, room.costs, room.total)
        return torch.zeros_like(room.costs).index_fill(0, chosen, 1.0)
