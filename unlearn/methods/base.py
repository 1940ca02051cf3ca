"""The contract of an unlearning method, and the registry of methods by name."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Literal, TypeVar

from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.problem import Bound, Problem

U = TypeVar("U", bound="type[Unlearner]")
OnFailure = Literal["keep", "raise", "retrain"]


class VerificationFailed(RuntimeError):
    """The method ended where its own residual says that the request was not carried out."""


class MissingRequirement(ValueError):
    """The method needs something that this problem did not keep."""


@dataclass(frozen=True, slots=True)
class State:
    """What `prepare` made: opaque to everyone but its method. It holds nothing that names a person."""

    payload: Any
    seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class UnlearnResult:
    """One served request.

    `residual_before` and `residual_after` are gradient norms of the objective on the remaining data, at the
    parameters before and after the method ran; `residual_ratio` is their quotient.
    """

    problem: Problem
    state: State | None
    forget: ForgetSet
    method: str
    arguments: dict[str, Any]
    residual_before: float
    residual_after: float
    rows_changed: dict[str, Tensor]  # parameter -> bool [rows]
    records_removed: int
    seconds: float
    fallback: bool = False  # the method failed and a retrain stands in for it
    bound: Bound | None = None

    @property
    def residual_ratio(self) -> float:
        return self.residual_after / self.residual_before if self.residual_before else 1.0

    @property
    def n_rows_changed(self) -> int:
        return sum(int(rows.sum()) for rows in self.rows_changed.values())


class Unlearner(ABC):
    """A method of unlearning: `prepare` once (expensive), `forget` many times (cheap).

    A subclass is a frozen dataclass of its hyper-parameters, sets `name`, and implements `_forget`; it never
    mutates what it was given. `requires` names what it needs from the problem's history ("history.checkpoints").
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[str]] = frozenset()
    exact: ClassVar[bool] = False  # a retrain by construction: its failure has no fallback

    def arguments(self) -> dict[str, Any]:
        assert is_dataclass(self)
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def prepare(self, problem: Problem) -> State | None:
        """What is worth computing before any request is known; None where there is nothing."""
        self._check(problem)
        return None

    def forget(
        self, problem: Problem, forget: ForgetSet, state: State | None = None, *, on_failure: OnFailure = "keep"
    ) -> UnlearnResult:
        """Serve one request on `problem`; apply again to the result's problem and state for the next one.

        Args:
            on_failure: what happens when the method ends with a larger residual than it began with, or with
                numbers that are not finite: keep the result as it is (evaluations), raise, or retrain and say so.

        Raises:
            UnknownIds: the request names something that does not exist; nothing has changed.
            MissingRequirement: the problem did not keep what the method needs; raised before any work.
            VerificationFailed: the method failed and `on_failure` is "raise".
        """
        self._check(problem)
        started = time.perf_counter()
        forget = problem.resolve(forget)
        if not forget:
            return self._result(problem, problem, state, forget, 0, 0.0, fallback=False, ratio=(0.0, 0.0))
        removed = int(problem.records(forget).numel())
        remaining = problem.without(forget)
        after, state = self._forget(problem, remaining, forget, state)
        seconds = time.perf_counter() - started
        # On the remaining objective in both: what a method hands back may still stand on the old data (`no_op`).
        ratio = (remaining.residual(), remaining.with_params(after.params).residual())
        failed = not ratio[1] < float("inf") or (not self.exact and self._failed(*ratio))
        fallback = failed and on_failure == "retrain"
        if failed and on_failure == "raise":
            raise VerificationFailed(
                f"`{self.name}` ended with residual {ratio[1]:.3g} where it began with {ratio[0]:.3g} for {forget!r}; "
                "nothing was changed. Retrain, or pass on_failure='retrain'."
            )
        if fallback:
            after = remaining.fit()
            seconds = time.perf_counter() - started
            ratio = (ratio[0], after.residual())
        return self._result(problem, after, state, forget, removed, seconds, fallback=fallback, ratio=ratio)

    @abstractmethod
    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        """The method itself: from the old parameters on `remaining` to the new ones, with the state refreshed."""

    def _failed(self, before: float, after: float) -> bool:
        return not after <= before

    def _check(self, problem: Problem) -> None:
        missing = [need for need in sorted(self.requires) if not problem.history.has(need.removeprefix("history."))]
        if missing:
            raise MissingRequirement(
                f"`{self.name}` needs {', '.join(missing)}, which this problem did not keep. "
                "Train again with those kept (see `TrainingOptions.keep`)."
            )

    def _result(
        self,
        before: Problem,
        after: Problem,
        state: State | None,
        forget: ForgetSet,
        removed: int,
        seconds: float,
        *,
        fallback: bool,
        ratio: tuple[float, float],
    ) -> UnlearnResult:
        if removed and not (fallback or self.exact):
            after = after.with_params(after.params, history=before.aged(removed, ratio[1]))
        return UnlearnResult(
            problem=after,
            state=state,
            forget=forget,
            method=self.name,
            arguments=self.arguments(),
            residual_before=ratio[0],
            residual_after=ratio[1],
            rows_changed=dict(before.row_changes(after.params)),
            records_removed=removed,
            seconds=seconds,
            fallback=fallback,
        )


_REGISTRY: dict[str, Callable[..., Unlearner]] = {}


def register(cls: U) -> U:
    """Class decorator: makes a method findable by its `name`."""
    if cls.name in _REGISTRY:
        raise ValueError(f"an unlearning method named {cls.name!r} is registered already")
    _REGISTRY[cls.name] = cls
    return cls


def method(name: str, **arguments: Any) -> Unlearner:
    """The method of that name with these hyper-parameters.

    Raises:
        KeyError: there is no such method; the message lists those there are.
    """
    import unlearn.methods  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers the built-in methods)

    if name not in _REGISTRY:
        raise KeyError(f"`{name}` is no unlearning method; there are {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name](**arguments)


def methods() -> list[str]:
    """Names of all registered methods."""
    import unlearn.methods  # noqa: F401  # pyright: ignore[reportUnusedImport]

    return sorted(_REGISTRY)
