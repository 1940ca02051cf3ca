"""What one request's results are measured against: two retrains that never saw the data, and how far they differ."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, log, nan
from typing import Any

import torch

from unlearn.audit.contract import Panel, Scorer
from unlearn.audit.measures import auc, ratio, top_k_overlap
from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.interruption import whole_or_not_at_all
from unlearn.methods.retrain import OTHER_START
from unlearn.params import Params
from unlearn.problem import Fitted, Problem

_SPACING = 1.1  # the gap of the cold retrain is looked at whenever its clock has advanced by 10 %


@dataclass(frozen=True, eq=False)
class Reference:
    """Both retrains of one request, and the figures that belong to the request alone.

    `distance` is |S_0 - S_r| over the affected users, the unit of every gap. `trajectory` holds (seconds,
    gap) of the retrain whose time was taken, and ends where that ends; `cold` is the one with a row of its own, and
    `other` the one without.
    """

    panel: Panel
    remaining: Fitted
    answers: Any
    distance: float
    effect: float
    original_drift: float
    gap_floor: float
    overlap_floor: float
    retrain_auc: float
    lists: torch.Tensor
    cold: Fitted
    other: Fitted
    trajectory: tuple[tuple[float, float], ...]
    kind: str

    def gap(self, model: Fitted) -> float:
        """|S_m - S_r| / |S_0 - S_r| over the affected users."""
        panel = self.panel
        return ratio(panel.distance(panel.answers(model), self.answers, panel.affected), self.distance)

    def seconds_until(self, gap: float) -> float:
        """Seconds of the cold retrain until it came as near as `gap`, or as near as it ever came.

        Between two looks the gap is taken to fall exponentially.
        """
        target = max(gap, self.trajectory[-1][1])
        for (earlier, above), (later, below) in zip(((nan, nan), *self.trajectory), self.trajectory, strict=False):
            if below <= target:
                passed = log(above / target) / log(above / below) if above > target > 0.0 < below else 1.0
                return later if isnan(earlier) else earlier + passed * (later - earlier)
        return nan

    def facts(self) -> dict[str, Any]:
        """Raw values of the request."""
        return {
            "affected": len(self.panel.affected),
            "distance_before": self.distance,
            "reference": self.kind,
            "reference_norm": self.panel.norm(self.answers, self.panel.affected),
            "trajectory": [list(point) for point in self.trajectory],
        }


@whole_or_not_at_all()
def reference(
    original: Fitted, continued: Fitted, forget: ForgetSet, scorer: Scorer, panel: Panel, *, seed: int
) -> Reference:
    """Retrain twice without `forget`; `continued` is the original after more of its own training.

    Where training converges, the reference is a cold retrain, from another start than the original's, and the second
    retrain goes on from the original: both ends of what a start can do, and the second is the cheaper for it. How far
    the two differ is the floor; the cold one is timed while it approaches the other, within the floor of itself.

    Where training samples, and for models that are no problems, the reference is trained by `seed` (the original's own
    makes it a coupled retrain), and timed while it approaches its own end. The second is trained by another seed: the
    floor says how far two retrains differ by chance, and is no limit to how near a method may come to the coupled one.
    """
    started = time.perf_counter()
    remaining = original.without(forget)
    cut = elapsed(started)
    if isinstance(remaining, Problem) and not remaining.stochastic:
        converging = True
        model, passed = _timed(remaining, panel, scorer, seed + OTHER_START, cut)
        second = scorer.polish(remaining.with_params(remaining.settled(forget)))
    else:
        converging = False
        model, passed = _timed(remaining, panel, scorer, seed, cut)
        second = scorer.polish(remaining, seed=seed + OTHER_START)
    before, answers, other, rows = panel.answers(original), panel.answers(model), panel.answers(second), panel.affected
    distance = panel.distance(before, answers, rows)
    end = other if converging else answers
    lists = panel.lists(model)
    return Reference(
        panel=panel,
        remaining=remaining,
        answers=answers,
        distance=distance,
        effect=ratio(panel.distance(before, answers, panel.remaining), panel.norm(answers, panel.remaining)),
        original_drift=ratio(panel.distance(panel.answers(continued), before, rows), distance),
        gap_floor=ratio(panel.distance(answers, other, rows), distance),
        overlap_floor=top_k_overlap(panel.lists(second), lists),
        retrain_auc=auc(*panel.forget_scores(model)),
        lists=lists,
        cold=model if converging else second,
        other=second if converging else model,
        trajectory=tuple((seconds, ratio(panel.distance(here, end, rows), distance)) for seconds, here in passed),
        kind="cold" if converging else "by seed",
    )


def _timed(
    remaining: Fitted, panel: Panel, scorer: Scorer, seed: int, cut: float
) -> tuple[Fitted, list[tuple[float, Any]]]:
    """A retrain by `seed`, and (seconds, answers) on its way, the end included; `cut` seconds had passed before it.

    Like a method's, its seconds run from the call on: they hold the drawing of parameters to begin with.
    """
    passed: list[tuple[float, Any]] = []
    clock, begun = 0.0, None

    def watch(_: int, seconds: float, params: Callable[[], Params]) -> None:
        nonlocal clock, begun
        if begun is None:
            begun = cut + elapsed(started) - seconds
        clock = begun + seconds
        if not passed or clock >= _SPACING * passed[-1][0]:
            assert isinstance(remaining, Problem)
            passed.append((clock, panel.answers(remaining.with_params(params()))))

    started = time.perf_counter()
    model = scorer.polish(remaining, seed=seed, watch=watch)
    if not passed:  # a model that cannot be watched
        clock = cut + elapsed(started)
    return model, [*passed, (clock, panel.answers(model))]
