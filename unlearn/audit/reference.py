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
from unlearn.forget import ForgetSet
from unlearn.problem import Fitted, Params, Problem

_OTHER_START = 1_000_003  # added to the seed: where a cold retrain starts
_SPACING = 1.1  # the gap of the cold retrain is looked at whenever its clock has advanced by 10 %


@dataclass(frozen=True, eq=False)
class Reference:
    """Both retrains of one request, and the figures that belong to the request alone.

    `distance` is |S_0 - S_r| over the affected users, the unit of every gap. `cold` is the retrain whose time was
    taken; `trajectory` holds its (seconds, gap to the other retrain) on its way and ends at `gap_floor`.
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
        target = max(gap, self.gap_floor)
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


def reference(
    original: Fitted, continued: Fitted, forget: ForgetSet, scorer: Scorer, panel: Panel, *, seed: int
) -> Reference:
    """Retrain twice without `forget`; `continued` is the original after more of its own training.

    Where training converges, the reference is a cold retrain, from another start than the original's, and the second
    retrain goes on from the original: both ends of what a start can do, and the second is the cheaper for it. How far
    the two differ is the floor; the cold one is timed while it approaches the other, within the floor of itself.

    Where training samples, and for models that are no problems, the reference is trained by `seed` (the original's own
    makes it a coupled retrain), and the second by another, which is the one that is timed.
    """
    started = time.perf_counter()
    remaining = original.without(forget)
    cut = time.perf_counter() - started
    converging = False
    if isinstance(remaining, Problem) and not remaining.stochastic:
        converging = True
        other = scorer.polish(remaining.with_params(remaining.settled(forget)))
    else:
        other = scorer.polish(remaining, seed=seed)
    cold, points = _timed(remaining, panel, panel.answers(other), scorer, seed + _OTHER_START, cut)
    model, second = (cold, other) if converging else (other, cold)
    before, answers, rows = panel.answers(original), panel.answers(model), panel.affected
    distance = panel.distance(before, answers, rows)
    lists = panel.lists(model)
    trajectory = tuple((seconds, ratio(apart, distance)) for seconds, apart in points)
    return Reference(
        panel=panel,
        remaining=remaining,
        answers=answers,
        distance=distance,
        effect=ratio(panel.distance(before, answers, panel.remaining), panel.norm(answers, panel.remaining)),
        original_drift=ratio(panel.distance(panel.answers(continued), before, rows), distance),
        gap_floor=trajectory[-1][1],
        overlap_floor=top_k_overlap(panel.lists(second), lists),
        retrain_auc=auc(*panel.forget_scores(model)),
        lists=lists,
        cold=cold,
        trajectory=trajectory,
        kind="cold" if converging else "by seed",
    )


def _timed(
    remaining: Fitted, panel: Panel, other: Any, scorer: Scorer, seed: int, cut: float
) -> tuple[Fitted, list[tuple[float, float]]]:
    """A retrain by `seed`, and (seconds, distance from `other`) on its way; `cut` seconds had passed before it."""
    points: list[tuple[float, float]] = []
    clock = 0.0

    def apart(model: Fitted) -> float:
        return panel.distance(panel.answers(model), other, panel.affected)

    def watch(_: int, seconds: float, params: Callable[[], Params]) -> None:
        nonlocal clock
        clock = cut + seconds
        if not points or clock >= _SPACING * points[-1][0]:
            assert isinstance(remaining, Problem)
            points.append((clock, apart(remaining.with_params(params()))))

    started = time.perf_counter()
    model = scorer.polish(remaining, seed=seed, watch=watch)
    if not points:  # a model that cannot be watched
        clock = cut + time.perf_counter() - started
    return model, [*points, (clock, apart(model))]
