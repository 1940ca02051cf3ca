"""Many requests, one after another: how far a method drifts from the retrain, and when one is due."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from tqdm import tqdm

from unlearn.audit.contract import Scorer
from unlearn.audit.measures import auc
from unlearn.audit.reference import reference
from unlearn.audit.timing import undisturbed
from unlearn.forget import ForgetSet
from unlearn.methods.base import Unlearner
from unlearn.problem import Fitted


@dataclass(frozen=True, slots=True)
class RetrainRule:
    """When what approximate unlearning has left behind asks for a retrain, judged without one.

    With b_k and a_k the residuals before and after request k since the last training, request k alone left
    sqrt(b_k^2 - a_{k-1}^2), as far as requests are independent. A retrain is due when a_k exceeds `residual` times the
    root mean square of that (the debt is that of so many requests not served at all), or when more than `removed` of
    the records that the last training saw are gone. Where there are no residuals (training that samples, models that
    are no problems), the share decides alone; what an exact method removed does not count.

    Raises:
        ValueError: listing every threshold that is out of range.
    """

    residual: float = 1.0
    removed: float = 0.1

    def __post_init__(self) -> None:
        problems: list[str] = []
        if not self.residual > 0:
            problems.append(f"`residual` must be positive for `RetrainRule` (got {self.residual})")
        if not 0 < self.removed <= 1:
            problems.append(f"`removed` must lie in (0, 1] for `RetrainRule` (got {self.removed})")
        if problems:
            raise ValueError("\n".join(problems))

    def due(self, residuals: Sequence[tuple[float, float]], removed: int, n_records: int) -> str | None:
        """Why a retrain is due, or None.

        Args:
            residuals: (before, after) of each request since the last training, the latest last.
            removed: records forgotten approximately since then; n_records: those that are left.
        """
        share = removed / max(removed + n_records, 1)
        if share > self.removed:
            return f"{share:.1%} of the records are gone since the last training (the limit is {self.removed:.1%})"
        if not residuals:
            return None
        left_before = [0.0, *(after for _, after in residuals[:-1])]
        pushes = [max(b * b - a * a, 0.0) for (b, _), a in zip(residuals, left_before, strict=True)]
        single = sqrt(sum(pushes) / len(pushes))
        debt = residuals[-1][1]
        if not debt <= self.residual * single:
            return (
                f"the residual is {debt:.3g} where a single request leaves {single:.3g} "
                f"(the limit is {self.residual:g} times that)"
            )
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a stream, served.

    `removed` counts the records forgotten approximately since the last training. `values` are the figures of the model
    after it where they were asked for: utility, `forget_auc`, `retrain_auc`, `retrain_gap` and `gap_floor`, against
    the retrain without everything so far, and in units of its distance from the model before the first request.
    """

    number: int
    seconds: float
    residual_before: float | None
    residual_after: float | None
    removed: int
    values: dict[str, float | None] | None = None
    retrained: str | None = None  # why a retrain followed
    retrain_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Stream:
    """What serving a stream by one method came to."""

    method: str
    arguments: dict[str, Any]
    seed: int
    steps: tuple[Step, ...]
    prepare_seconds: float

    def content(self) -> dict[str, Any]:
        """Everything, as values for JSON."""
        return asdict(self)


def stream(
    problem: Fitted,
    requests: Sequence[ForgetSet],
    method: Unlearner,
    scorer: Scorer,
    *,
    seed: int,
    measure: Collection[int] = (),
    rule: RetrainRule | None = None,
) -> Stream:
    """Serve the requests one after another, each on what the one before it left.

    Args:
        measure: numbers (from 1) of the requests after which the model is compared with a retrain.
        rule: asked after every request; where it says so the model is trained anew on what remains, after measuring.

    Raises:
        UnknownIds: a request names what is not there, or not any more.
        MissingRequirement: the method cannot be applied to the model; raised before any work.
    """
    state = method.prepare(problem)
    prepared = state.seconds if state else 0.0
    original = method.subject(problem, state)
    continued = scorer.continued(original) if measure else original
    current: Fitted = problem
    everything = ForgetSet()
    residuals: list[tuple[float, float]] = []
    steps: list[Step] = []
    for number, forget in enumerate(tqdm(requests, desc=method.name, disable=None, leave=False), start=1):
        everything = everything | forget
        with undisturbed():
            result = method.forget(current, forget, state)
        current, state = result.problem, result.state
        if result.residual_before is not None and result.residual_after is not None:
            residuals.append((result.residual_before, result.residual_after))
        removed = current.history.removed
        values = None
        if number in measure:
            values = _measured(original, continued, current, original.resolve(everything), scorer, seed)
        reason = rule.due(residuals, removed, current.n_records) if rule else None
        retrain_seconds = 0.0
        if reason is not None:
            started = time.perf_counter()
            current = current.fit()
            state = method.prepare(current)
            residuals = []
            retrain_seconds = time.perf_counter() - started
        before, after = result.residual_before, result.residual_after
        steps.append(Step(number, result.seconds, before, after, removed, values, reason, retrain_seconds))
    return Stream(method.name, method.arguments(), seed, tuple(steps), prepared)


def _measured(
    original: Fitted, continued: Fitted, model: Fitted, everything: ForgetSet, scorer: Scorer, seed: int
) -> dict[str, float | None]:
    panel = scorer.panel(original, everything, seed=seed)
    against = reference(original, continued, everything, scorer, panel, seed=seed)
    return {
        **panel.utility(model),
        "forget_auc": auc(*panel.forget_scores(model)),
        "retrain_auc": against.retrain_auc,
        "retrain_gap": against.gap(model),
        "gap_floor": against.gap_floor,
    }
