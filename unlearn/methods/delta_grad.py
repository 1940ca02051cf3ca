"""DeltaGrad: training replayed without the forgotten, most of its gradients taken from the record."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from unlearn.attached import AttachedOptions, AttachedProblem
from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.invalid import require
from unlearn.methods.base import MissingRequirement, State, Unlearner, register
from unlearn.params import Params, differentiate, flatten, unflatten
from unlearn.problem import Fitted
from unlearn.streams import normals

_PRODUCTS = 30


@dataclass(frozen=True, eq=False)
class Descended(AttachedProblem):
    """An attached problem that full-batch gradient descent trains, from its seed and for a fixed number of steps."""

    steps: int = 1
    lr: float = 1.0

    @classmethod
    def of(cls, problem: AttachedProblem, steps: int, lr: float) -> Descended:
        """Untrained, over the same data."""
        return cls(
            params=problem.functional.initial(problem.options.seed, problem.params),
            data=problem.data,
            functional=problem.functional,
            options=problem.options,
            history=History(),
            weights=problem.weights,
            steps=steps,
            lr=lr,
        )

    def fit(self, init: Params | None = None, *, options: AttachedOptions | None = None) -> Self:
        options = self.options if options is None else options
        start = self.functional.initial(options.seed, self.params) if init is None else init
        return replace(self.with_params(start), options=options).descended()

    def descended(self, points: Tensor | None = None, gradients: Tensor | None = None) -> Self:
        """Trained from the parameters it holds, recording those of each step [steps, p] and the gradients there."""
        started = time.perf_counter()
        x = flatten(self.params)
        for t in range(self.steps):
            gradient = flatten(self.value_and_gradient(unflatten(x, self.params))[1])
            if points is not None and gradients is not None:
                points[t], gradients[t] = x, gradient
            x.sub_(gradient, alpha=self.lr)
        trained = self.with_params(unflatten(x, self.params))
        seconds = elapsed(started)
        return trained.with_params(
            trained.params, history=History(residual=trained.residual(), seconds=seconds, seed=self.options.seed)
        )


@dataclass(frozen=True, slots=True)
class Record:
    """A training: what it ended in, and of each step the parameters and the gradient [steps, p]."""

    model: Descended
    points: Tensor
    gradients: Tensor


@register
@dataclass(frozen=True, kw_only=True)
class DeltaGrad(Unlearner):
    """Retraces every step of a full-batch training, correcting the gradients that it took.

    Wu, Dobriban and Davidson, "DeltaGrad: rapid retraining of machine learning models", 2020, arXiv 2006.14755.

        x <- x - lr g_R(x),     g_R(x) = g(x_t) + B_t (x - x_t) - g_F(x)      at step t, where training was at x_t

    with g(x_t) the recorded gradient of the objective, g_F that of the forgotten records and B_t the L-BFGS matrix of
    the last `memory` differences (s, y) = (x - x_t, g(x) - g(x_t)). In the first `burn_in` steps, and in every
    `period`-th after them, g_R is computed instead, and such a difference with it. `period=1` is the coupled retrain.
    A difference counts if s . y > lr / 2 |y|^2, as it is wherever the objective is convex and descent at this rate
    stable; after one that is not, g_R is computed until one is.

    It unlearns from models that full-batch gradient descent trained, so `prepare` trains one from the problem's seed,
    on the problem's data and without its training hooks, and serves that instead (`subject`); where the objective has
    one minimiser and `steps` suffice to reach it, it is the same model. Memory: 2 steps x p numbers, of a stream the
    record is that of the latest replay.

    Works on attached modules: a recommender's gradient costs as much for a few records as for all, because every record
    is scored through the whole graph, and there is nothing to save.

    Between two computed gradients B_t knows the curvature only where the replay has been going. Errors elsewhere grow
    unless period x lr x (greatest curvature) stays small: measured on multinomial regression, the replay misses the
    retrain by 1 % of what the deletion moves at 2.5, and by 25 % at 5. On small networks that are hardly regularised it
    can miss by more than all of it: they have no one minimiser, which would draw a replay back.

    Args:
        lr: of the sum over records; None takes min(1, 2 / period) / (the greatest curvature, by 30 Hessian products
            at the start and at the problem's parameters); where there is none, it must be given.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** its checks of convexity and of smoothness are the one inequality above, without
    constants to choose; where a record's loss depends on others (a message graph), g_F is taken in their company, which
    costs as much as a gradient of everything and saves no time. Stochastic training is not covered.
    """

    steps: int = 300
    lr: float | None = None
    period: int = 5
    burn_in: int = 10
    memory: int = 2

    name = "delta_grad"
    works_on = AttachedProblem

    def __post_init__(self) -> None:
        require(
            self,
            steps=("a positive integer", self.steps >= 1),
            lr=("positive or None", self.lr is None or self.lr > 0),
            period=("a positive integer", self.period >= 1),
            burn_in=("a positive integer", self.burn_in >= 1),
            memory=("a positive integer", self.memory >= 1),
        )

    def prepare(self, problem: AttachedProblem) -> State:
        self._check(problem)
        started = time.perf_counter()
        untrained = Descended.of(problem, self.steps, 1.0 if self.lr is None else self.lr)
        if self.lr is None:
            steepest = max(_curvature(problem, params) for params in (untrained.params, problem.params))
            if steepest == 0.0:
                raise MissingRequirement(
                    f"`{self.name}` takes its rate from the curvature of the objective, which has none at the start "
                    "or at the model's parameters; give it `lr`, or the objective a penalty"
                )
            untrained = replace(untrained, lr=min(1.0, 2.0 / self.period) / steepest)
        points, gradients = _room(untrained)
        record = Record(untrained.descended(points, gradients), points, gradients)
        return _state(record, elapsed(started))

    def subject(self, problem: AttachedProblem, state: State | None) -> Fitted:
        return problem if state is None else state.payload.model

    def _forget(
        self, problem: AttachedProblem, remaining: AttachedProblem, forget: ForgetSet, state: State | None
    ) -> tuple[Descended, State]:
        before: Record = (self.prepare(problem) if state is None else state).payload
        after = replace(before.model, data=remaining.data, weights=remaining.weights)
        forgotten, chosen = problem.apart(forget)
        points, gradients = _room(after)
        x = before.points[0].clone()
        moves: list[Tensor] = []
        turns: list[Tensor] = []
        convex = False  # as far as the latest difference shows
        for t in range(after.steps):
            params = unflatten(x, problem.params)
            leaving = differentiate(lambda leaves: forgotten.record_losses(leaves, chosen).sum(), params)[1]
            recorded, move = before.gradients[t], x - before.points[t]
            if t < self.burn_in or (t - self.burn_in) % self.period == 0 or not convex:
                gradient = flatten(after.value_and_gradient(params)[1])
                turn = gradient + leaving - recorded
                convex = float(move @ turn) > 0.5 * after.lr * float(turn @ turn)
                if convex:
                    moves, turns = [*moves, move][-self.memory :], [*turns, turn][-self.memory :]
            else:
                gradient = recorded + curvature_product(moves, turns, move) - leaving
            points[t], gradients[t] = x, gradient
            x.sub_(gradient, alpha=after.lr)
        after = after.with_params(unflatten(x, problem.params))
        return after, _state(Record(after, points, gradients), 0.0)


def curvature_product(moves: list[Tensor], turns: list[Tensor], vector: Tensor) -> Tensor:
    """The L-BFGS matrix of these differences (k of [p] each, latest last) times `vector` [p].

    Byrd, Nocedal and Schnabel, "Representations of quasi-Newton matrices and their use in limited memory methods",
    1994, theorem 2.3. It maps the latest move to its turn of the gradient.
    """
    s, y = torch.stack(moves), torch.stack(turns)
    products = (s @ y.T).double()
    sigma = float(products[-1, -1]) / float(s[-1].double() @ s[-1].double())
    lower = products.tril(-1)
    inner = torch.cat(
        [
            torch.cat([sigma * (s @ s.T).double(), lower], 1),
            torch.cat([lower.T, -products.diagonal().diag()], 1),
        ]
    )
    right = torch.cat([sigma * (s @ vector), y @ vector]).double()
    if not bool(inner.isfinite().all() and right.isfinite().all()):  # a replay that diverged; LAPACK would refuse
        return torch.full_like(vector, torch.nan)
    # On the CPU, where there is a driver that stands singular systems; this one has twice as many rows as differences.
    weights = torch.linalg.lstsq(inner.cpu(), right[:, None].cpu(), driver="gelsd").solution.squeeze(1).to(vector)
    return sigma * vector - sigma * (weights[: len(s)] @ s) - weights[len(s) :] @ y


def _curvature(problem: AttachedProblem, params: Params) -> float:
    """The eigenvalue of greatest size of the Hessian there, by the power method."""
    like = flatten(params)
    direction = torch.from_numpy(normals(0, "delta_grad", np.arange(like.numel()))).to(like)
    size = 0.0
    for _ in range(_PRODUCTS):
        direction = direction / direction.norm()
        direction = flatten(problem.hessian_product(params, unflatten(direction, params)))
        size = float(direction.norm())
        if size == 0.0:
            break
    return size


def _room(model: Descended) -> tuple[Tensor, Tensor]:
    x = flatten(model.params)
    return x.new_empty(model.steps, x.numel()), x.new_empty(model.steps, x.numel())


def _state(record: Record, seconds: float) -> State:
    return State(record, seconds, (record.points.nbytes + record.gradients.nbytes) / 1e6)
