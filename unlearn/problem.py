"""The seam between models and unlearning methods.

A method sees a `Problem`: an objective over an opaque vector of parameters, and the means to rebuild that
objective without what is to be forgotten. It never sees a model class, an embedding table or a graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, cast

import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.history import Checkpoint, History
from unlearn.params import Params, as_table, differentiate, flatten, unflatten, value_and_gradient
from unlearn.solvers.landscape import FunctionLandscape, Landscape
from unlearn.solvers.vectors import norm
from unlearn.units import Unit, Units

# ---- what travels with a problem ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bound:
    """A proven bound on the distance of the scores from those of any exact minimiser of the same objective.

    That is one whose parameters are wide enough for what is best at any width; of narrower ones there may be several,
    and those of the model's own width are within twice the bound.

    Holds with probability at least `probability` over the random start of an eigenvalue iteration, for this
    objective and up to floating-point rounding; it is no statement about any other objective or data set.
    """

    score_distance: float  # |S - S*|_F is at most this
    relative: float  # the same over |S|_F
    objective_gap: float  # F - F* is at most this
    curvature: float  # lower end for the smallest eigenvalue of the dual certificate Q
    probability: float
    seconds: float
    ascent: Tensor | None = field(default=None, repr=False)  # unit vector [rows]: the column to add when curvature < 0


Touched = dict[str, list[Tensor]]
"""For each parameter, the rows reached at hop 0, 1, ... (each an int64 tensor, disjoint from the earlier ones)."""


@dataclass(frozen=True, slots=True)
class Locality:
    """The objective of the remaining data over the directions in which a request moves the parameters."""

    landscape: Landscape
    start: Tensor  # [k]
    finish: Callable[[], tuple[Params, Any]]
    """The parameters at the landscape's point, and the survey of the problem that has them."""
    widened: Callable[[float], Locality | None]
    """From the landscape's point over more directions, where those left out hold more than that share of the way."""


# ---- the contracts --------------------------------------------------------------------------------------------------


class Fitted(ABC):
    """The least a model gives: train, shrink, answer."""

    history: History

    @property
    @abstractmethod
    def n_records(self) -> int:
        """How many records the model's data holds."""

    @property
    def caveat(self) -> str | None:
        """What whoever reads figures of this trained model should know of it, in a sentence; None if nothing."""
        return None

    @abstractmethod
    def fit(self, init: Params | None = None, *, options: Any = None) -> Self:
        """Train on this model's own data; from `init` if given, by name, else from the seed. Returns a new model."""

    @abstractmethod
    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet:
        """The part of `forget` that exists here.

        Raises:
            UnknownIds: something does not exist and `unknown` is "raise"; nothing has changed.
        """

    @abstractmethod
    def records(self, forget: ForgetSet) -> Tensor:
        """Indices [r] of the records that the forget set removes."""

    @abstractmethod
    def without(self, forget: ForgetSet) -> Self:
        """The same parameters over remaining data and remaining graph."""

    @abstractmethod
    def outputs(self, queries: Tensor) -> Tensor:
        """Model outputs [q] (or [q, c]) for queries [q, k]; for a recommender, (user row, item row) -> score."""

    @abstractmethod
    def touched(self, forget: ForgetSet, *, hops: int = 1) -> Touched:
        """Which rows of which parameter the forgotten data reaches, hop by hop."""


class SelfUnlearning(Fitted):
    """A model that brings its own rule of forgetting: a closed form that is updated, an ensemble of shards."""

    @abstractmethod
    def forget(self, forget: ForgetSet) -> Self:
        """The model without what the forget set names, by the model's own rule; `forget` has been resolved here.

        Its data no longer holds the forgotten. Where the rule is approximate, `history.removed` grows by their number;
        where it ends at what `without(forget).fit()` gives, it does not.
        """


class Problem(Fitted):
    """The one seam for everything gradient-based.

    objective(params) = sum of record_losses(params) + background(params) + penalty(params), deterministic. Sums, never
    means: the scale must not move when records leave.
    """

    params: Params
    options: Any  # how `fit` trains: a frozen dataclass with a `seed`
    record_unit: ClassVar[Unit] = "record"  # of which there is one a record, for `weighted`

    @abstractmethod
    def with_params(self, params: Params, *, history: History | None = None) -> Self:
        """The same data and graph under other parameters."""

    @abstractmethod
    def record_losses(self, params: Params, records: Tensor | None = None) -> Tensor:
        """Loss [r] of the given records (all if None), differentiable in `params`."""

    def apart(self, forget: ForgetSet) -> tuple[Problem, Tensor | None]:
        """A problem that gives the forgotten records' losses at the least cost, and which of its records these are.

        None: all of them.
        """
        return self, self.records(forget)

    def background(self, params: Params) -> Tensor:
        """What belongs to no record, a scalar; for a recommender the term of all unobserved pairs."""
        return next(iter(params.values())).new_zeros(())

    @abstractmethod
    def penalty(self, params: Params) -> Tensor:
        """The regulariser, a scalar."""

    def objective(self, params: Params) -> Tensor:
        """What training minimises, a scalar, differentiable in `params`: losses, background and penalty."""
        losses = self.record_losses(params).sum()
        return losses + self.background(params) + self.penalty(params)

    def training_loss(self, params: Params) -> Tensor:
        """The objective with the terms of the training hooks."""
        return sum((hook(self, params) for hook in self.history.hooks), self.objective(params))

    @abstractmethod
    def weighted(self, unit: Unit, weights: Tensor, *, degrees: bool = True) -> Problem:
        """A copy in which every unit counts, in loss and message edges, a weight in [0, 1] of what it counts here.

        The result's objective is differentiable in `weights` [n units]; without `degrees` the derivative leaves out
        what the weights change in the normalisation of message edges.

        Raises:
            ValueError: the problem has no units of that kind, or `weights` are not one for each.
        """

    def with_options(self, options: Any) -> Self:
        """The same problem, to be trained by other options."""
        return replace(cast("Any", self), options=options)

    def digest(self) -> str:
        """A digest (hex) of all that training depends on: data, model, objective, options, hooks; no parameters.

        Raises:
            ValueError: this problem does not say, or something in it has no digest.
        """
        raise ValueError(f"`digest` must be known for this (got a {type(self).__name__} without)")

    def units(self, unit: Unit) -> Units:
        """All units of that kind in the data.

        Raises:
            ValueError: this problem does not count them.
        """
        raise ValueError(
            f'`units` must be of a kind that this problem counts (got "{unit}" of a {type(self).__name__})'
        )

    @property
    def n_ties(self) -> int:
        """How many ties messages pass along, as `weighted` counts them: both directions of one are one."""
        return 0

    def ties(self, forget: ForgetSet) -> Tensor:
        """Numbers [t] of the ties, among `n_ties`, that the forget set removes: those it names, and its users'."""
        return torch.empty(0, dtype=torch.int64)

    def tie_losses(self, params: Params, ties: Tensor) -> Tensor:
        """How unlike the model's answers for both users of a tie [k] are, in [0, 2]; differentiable in `params`.

        1 less a cosine. A tie is no record: nothing is trained on it, and what may be left of one that is forgotten is
        that its ends are still answered alike.

        Raises:
            ValueError: this problem has no ties.
        """
        raise ValueError(f"`tie_losses` must be known for this (got a {type(self).__name__} without ties)")

    @property
    def predicts(self) -> bool:
        """Whether it has `predictions`."""
        return False

    def predictions(self, params: Params, records: Tensor) -> Tensor:
        """What the model predicts for the given records, differentiable in `params`.

        Logits [r, c] of a distribution (of a recommender over the items, for the record's user), or values [r].

        Raises:
            ValueError: this problem does not say.
        """
        raise ValueError(f"`predictions` must be known for this (got a {type(self).__name__} without; see `predicts`)")

    def classes_left(self) -> Tensor | None:
        """Columns [k] of `predictions` of what is not forgotten, ascending; None where nothing that goes has one."""
        return None

    def resume(self, checkpoint: Checkpoint) -> Self:
        """What training still had to do at the checkpoint, done on this problem's data, with those epochs' own draws.

        Without anything forgotten it ends where training did, bit for bit. A problem that keeps checkpoints has it.

        Raises:
            NotImplementedError: this problem keeps no checkpoints.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps no checkpoints to resume from")

    @property
    def stochastic(self) -> bool:
        """Whether training samples: it then ends at no stationary point of `objective`, whose residual says nothing."""
        return False

    def optimality(self, *, probability: float = 0.99, seed: int = 0) -> Bound | None:
        """A proven bound on the distance from the exact solution, or None where none is known."""
        return None

    # ---- derivatives: defaults by automatic differentiation; a problem with a faster way overrides them ------------

    def value_and_gradient(self, params: Params) -> tuple[float, Params]:
        return value_and_gradient(self.objective, params)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Hessian of the objective at `params` times `direction`, by double backward."""
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        gradients = torch.autograd.grad(self.objective(leaves), list(leaves.values()), create_graph=True)
        inner = torch.stack([(g * direction[name]).sum() for name, g in zip(leaves, gradients, strict=True)]).sum()
        products = torch.autograd.grad(inner, list(leaves.values()))
        return dict(zip(leaves, products, strict=True))

    def landscape(self) -> Landscape:
        """The objective as a function of one flat vector, for the solvers."""

        def value_and_gradient(x: Tensor) -> tuple[float, Tensor]:
            value, gradient = self.value_and_gradient(unflatten(x, self.params))
            return value, flatten(gradient)

        return FunctionLandscape(value_and_gradient)

    def training_landscape(self) -> Landscape:
        """What training minimises: `landscape`, or with training hooks the objective with their terms."""
        if not self.history.hooks:
            return self.landscape()
        return FunctionLandscape(lambda x: differentiate(self.training_loss, unflatten(x, self.params)))

    def residual(self) -> float:
        """Gradient norm of the objective at the current parameters."""
        landscape = self.landscape()
        landscape.start(flatten(self.params))
        return norm(landscape.gradient())

    def settled(self, forget: ForgetSet) -> Params:
        """The parameters with what the forgotten data alone determined put to its known optimum.

        The default changes nothing; a recommender clears the rows that no remaining record reaches.
        """
        return self.params

    def shortened(self, share: float, rate: float) -> Any | None:
        """Options for the same training in `share` of its epochs at `rate` times its rate; None where it has none."""
        return None

    def survey(self) -> Any:
        """What `locality` needs to know before any request comes; None where nothing is gained by it."""
        return None

    def locality(self, before: Problem, forget: ForgetSet, known: Any, *, tail: float) -> Locality:
        """This remaining problem over the directions that `forget` moves, or over all parameters.

        Args:
            before: the problem that still has the forgotten data; `known` is its survey, None where there is none.
            tail: share of the request's first-order push that the directions may leave out; 0 asks for all that the
                survey knows.
        """
        start, landscape = self.settled(forget), self.landscape()
        return Locality(
            landscape,
            flatten(start),
            finish=lambda: (unflatten(landscape.point.clone(), start), None),
            widened=lambda _: None,
        )

    def row_changes(self, params: Params) -> Iterator[tuple[str, Tensor]]:
        """For each parameter, which rows (first axis) differ between `params` and this problem's own."""
        for name, before in self.params.items():
            after = params[name]
            yield name, as_table((before != after).contiguous()).any(1)

    def aged(self, removed: int, residual: float | None = None) -> History:
        """This problem's history after `removed` more records were forgotten approximately."""
        return replace(
            self.history, removed=self.history.removed + removed, residual=residual, checkpoints=(), optimizer=None
        )
