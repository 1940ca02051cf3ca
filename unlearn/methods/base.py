"""The contract of an unlearning method, and the registry of methods by name."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor

from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.interruption import whole_or_not_at_all
from unlearn.invalid import require
from unlearn.problem import Fitted, Problem
from unlearn.registry import Registry, hyper_parameters

OnFailure = Literal["keep", "raise", "retrain"]


class VerificationFailed(RuntimeError):
    """The method ended where its own residual says that the request was not carried out."""


class MissingRequirement(ValueError):
    """The method cannot be applied: the model is of another kind, or did not keep what the method needs."""


@dataclass(frozen=True, slots=True)
class State:
    """What `prepare` made: opaque to everyone but its method.

    It holds nothing of what was forgotten. Where the method serves another model than it was given
    (`Unlearner.subject`), that model is in here with the data it stands on: those that remain.
    """

    payload: Any
    seconds: float
    megabytes: float

    @classmethod
    def of(cls, payload: Any, *, seconds: float) -> State:
        """The state with the size of all tensors in `payload`, a tensor or a dataclass, mapping or sequence of such."""
        return cls(payload, seconds, _bytes(payload) / 1e6)


def _bytes(payload: Any) -> int:
    if isinstance(payload, Tensor):
        return payload.nbytes
    if isinstance(payload, Mapping):
        return sum(_bytes(part) for part in payload.values())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(payload, list | tuple):
        return sum(_bytes(part) for part in payload)  # pyright: ignore[reportUnknownVariableType]
    if is_dataclass(payload):
        return sum(_bytes(getattr(payload, one.name)) for one in fields(payload))
    return 0


@dataclass(frozen=True, slots=True)
class UnlearnResult:
    """One served request.

    `residual_before` and `residual_after` are gradient norms of the objective on the remaining data, at the parameters
    of the model that the method serves with (`Unlearner.subject`) before and after it ran; `residual_ratio` is their
    quotient. They are None where training samples (`Problem.stochastic`), and for a model that is no `Problem`, of
    which `rows_changed` is empty, too.
    """

    problem: Fitted
    state: State | None = field(repr=False)
    forget: ForgetSet
    method: str
    arguments: dict[str, Any]
    residual_before: float | None
    residual_after: float | None
    rows_changed: dict[str, Tensor] = field(repr=False)  # parameter -> bool [rows]
    records_removed: int
    seconds: float
    fallback: bool = False  # the method failed and a retrain stands in for it

    @property
    def residual_ratio(self) -> float | None:
        """The residual after over the one before, 1 where that was 0 already; None where there are none."""
        if self.residual_before is None or self.residual_after is None:
            return None
        return self.residual_after / self.residual_before if self.residual_before else 1.0

    @property
    def n_rows_changed(self) -> int:
        """Changed rows of all parameters together."""
        return sum(int(rows.sum()) for rows in self.rows_changed.values())


class Unlearner(ABC):
    """A method of unlearning: `prepare` once (expensive), `forget` many times (cheap).

    A subclass is a frozen dataclass of its hyper-parameters, each with a default, which are held to their kinds
    (`unlearn.invalid.require`), sets `name`, and implements `_forget`; it never mutates what it was given. `works_on`
    names the kind of model, and is the type of `problem` wherever the signatures below say Any; `requires` names what
    it needs from the model's history ("history.checkpoints").
    """

    name: ClassVar[str]
    works_on: ClassVar[type[Fitted]] = Problem
    requires: ClassVar[frozenset[str]] = frozenset()
    exact: ClassVar[bool] = False  # a retrain by construction: its failure has no fallback
    baseline: ClassVar[bool] = False  # there to compare with: a comparison adds it by itself

    def __post_init__(self) -> None:
        require(self)

    def arguments(self) -> dict[str, Any]:
        """The hyper-parameters by name, for records of what was run."""
        return hyper_parameters(self)

    def obstacle(self, problem: Fitted) -> str | None:
        """Why the method cannot be applied to this model, or None where it can."""
        if not isinstance(problem, self.works_on):
            return f"`{self.name}` works on a {self.works_on.__name__} (got {type(problem).__name__})"
        missing = [need for need in sorted(self.requires) if not problem.history.has(need.removeprefix("history."))]
        if missing:
            return (
                f"`{self.name}` needs {', '.join(missing)}, which this problem did not keep. "
                "Train again with those kept (`TrainingOptions.keep`, or `--keep`)."
            )
        return self._obstacle(problem)

    def _obstacle(self, problem: Any) -> str | None:
        """Why the method cannot be applied to a model of the right kind, which has kept what it needs."""
        return None

    def prepare(self, problem: Any) -> State | None:
        """What is worth computing before any request is known; None where there is nothing.

        Raises:
            MissingRequirement: the method cannot be applied to this model; raised before any work.
        """
        self._check(problem)
        return None

    def subject(self, problem: Any, state: State | None) -> Fitted:
        """The model that this method serves with before any request: `problem`, or what `prepare` made in its place."""
        return problem

    def forget(
        self, problem: Any, forget: ForgetSet, state: State | None = None, *, on_failure: OnFailure = "keep"
    ) -> UnlearnResult:
        """Serve one request on `problem`; apply again to the result's problem and state for the next one.

        Args:
            on_failure: what happens when the method ends with a larger residual than it began with, or with
                numbers that are not finite: keep the result as it is (evaluations), raise, or retrain and say so.

        Raises:
            ValueError: there is no such `on_failure`.
            UnknownIds: the request names something that does not exist; nothing has changed.
            MissingRequirement: the method cannot be applied to this model; raised before any work.
            VerificationFailed: the method failed and `on_failure` is "raise".
        """
        if on_failure not in (known := get_args(OnFailure)):
            raise ValueError(f"`on_failure` must be one of {', '.join(known)} (got {on_failure!r})")
        self._check(problem)
        started = time.perf_counter()
        forget = problem.resolve(forget)
        served = self.subject(problem, state)
        if not forget:
            residuals = _residuals(served, served, served)
            return self._result(served, served, state, forget, 0, 0.0, residuals, fallback=False)
        removed = int(problem.records(forget).numel())
        remaining = self._remaining(problem, forget)
        with whole_or_not_at_all():
            try:
                after, state = self._forget(problem, remaining, forget, state)
            except (RuntimeError, ValueError):
                if finite(served):
                    raise
                after, state = remaining, None  # nothing starts from what is no number: a failure like any other
        seconds = elapsed(started)
        # On the remaining objective in both: what a method hands back may still stand on the old data (`no_op`).
        residuals = _residuals(remaining, served, after)
        failed = not finite(after) or (residuals is not None and not self.exact and self._failed(*residuals))
        fallback = failed and on_failure == "retrain"
        if failed and on_failure == "raise":
            ended = (
                f"residual {residuals[1]:.3g} where it began with {residuals[0]:.3g}"
                if residuals
                else "parameters that are not finite"
            )
            raise VerificationFailed(
                f"`{self.name}` ended with {ended} for {forget!r}; nothing was changed. Retrain, or pass "
                "on_failure='retrain'."
            )
        if fallback:
            with whole_or_not_at_all():
                after = remaining.fit()
            state = None  # what the failed attempt made of the state is not of this model
            seconds = elapsed(started)
            residuals = _residuals(remaining, served, after)
        return self._result(problem, after, state, forget, removed, seconds, residuals, fallback=fallback)

    def _remaining(self, problem: Any, forget: ForgetSet) -> Any:
        """What `_forget` begins with: the old parameters on remaining data and remaining graph."""
        return problem.without(forget)

    @abstractmethod
    def _forget(
        self, problem: Any, remaining: Any, forget: ForgetSet, state: State | None
    ) -> tuple[Fitted, State | None]:
        """The method itself: from the old parameters on `remaining` to the new ones, with the state refreshed."""

    def _failed(self, before: float, after: float) -> bool:
        return not after <= before

    def _check(self, problem: Fitted) -> None:
        if (obstacle := self.obstacle(problem)) is not None:
            raise MissingRequirement(obstacle)

    def _history(self, before: Problem, after: Problem, removed: int, residual: float | None) -> History:
        """What the result remembers of training: checkpoints and moments learned from the forgotten, and go."""
        return before.aged(removed, residual)

    def _result(
        self,
        before: Fitted,
        after: Fitted,
        state: State | None,
        forget: ForgetSet,
        removed: int,
        seconds: float,
        residuals: tuple[float, float] | None,
        *,
        fallback: bool,
    ) -> UnlearnResult:
        changed: dict[str, Tensor] = {}
        if isinstance(before, Problem) and isinstance(after, Problem):
            if forget and not (fallback or self.exact):
                history = self._history(before, after, removed, residuals and residuals[1])
                after = after.with_params(after.params, history=history)
            changed = dict(before.row_changes(after.params))
        return UnlearnResult(
            problem=after,
            state=state,
            forget=forget,
            method=self.name,
            arguments=self.arguments(),
            residual_before=residuals and residuals[0],
            residual_after=residuals and residuals[1],
            rows_changed=changed,
            records_removed=removed,
            seconds=seconds,
            fallback=fallback,
        )


def _residuals(remaining: Fitted, before: Fitted, after: Fitted) -> tuple[float, float] | None:
    """Gradient norms of the remaining objective before and after, where they say something."""
    if not (isinstance(remaining, Problem) and isinstance(before, Problem) and isinstance(after, Problem)):
        return None
    if remaining.stochastic:
        return None
    return remaining.with_params(before.params).residual(), remaining.with_params(after.params).residual()


def finite(model: Fitted) -> bool:
    """Whether the parameters are numbers, as far as it has any that can be seen."""
    return not isinstance(model, Problem) or all(bool(value.isfinite().all()) for value in model.params.values())


def require_finite(problem: Fitted) -> None:
    """Refuse a model whose training diverged, before any work on it.

    Raises:
        ValueError: its parameters are no numbers.
    """
    if not finite(problem):
        raise ValueError(
            "`problem` must have finite parameters (its training diverged); train with a lower learning rate or with "
            "more l2"
        )


_METHODS = Registry(Unlearner, "unlearning method", group="unlearn.methods", bare=True)
register, methods = _METHODS.register, _METHODS.names


def method(name: str, /, **arguments: Any) -> Unlearner:
    """The unlearning method of that name with these hyper-parameters: `method("fine_tune", epochs=5)`.

    `methods()` lists the names; what one does and takes is in its class's docstring, `help(type(method(name)))`, and of
    all of them in `unlearn methods`.

    Raises:
        ValueError: there is none of that name, and the message lists those there are; or an argument is out of range.
        TypeError: it has no such argument.
    """
    return _METHODS.make(name, **arguments)
