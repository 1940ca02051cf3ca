"""What one request's results are measured against: two retrains that never saw the data, and how far they differ."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import nan
from typing import Any

import torch

from unlearn.audit.contract import Panel, Scorer
from unlearn.audit.measures import Factors, auc, ratio, score_distance, score_norm, top_k_overlap
from unlearn.forget import ForgetSet
from unlearn.problem import Problem

_OTHER_START = 1_000_003  # added to the seed of the first retrain
_SPACING = 1.02  # the gap of the second is looked at whenever its clock has advanced by 2 %


@dataclass(frozen=True, eq=False)
class Reference:
    """Both retrains of one request, and the figures that belong to the request alone.

    `distance` is |S_0 - S_r| over the affected users, the unit of every gap. `trajectory` holds (seconds, gap) of the
    second retrain, a cold one from another start; it ends at `gap_floor`.
    """

    panel: Panel
    remaining: Problem
    original: Factors
    factors: Factors
    distance: float
    effect: float
    original_drift: float
    gap_floor: float
    overlap_floor: float
    retrain_auc: float
    trajectory: tuple[tuple[float, float], ...]
    second: Problem
    lists: torch.Tensor

    def gap(self, problem: Problem) -> float:
        """|S_m - S_r| / |S_0 - S_r| over the affected users."""
        return ratio(score_distance(self.panel.factors(problem), self.factors, self.panel.affected), self.distance)

    def seconds_until(self, gap: float) -> float:
        """Seconds of the cold retrain until it came as near as `gap`, or as near as it ever came."""
        target = max(gap, self.gap_floor)
        return next((seconds for seconds, reached in self.trajectory if reached <= target), nan)

    def facts(self) -> dict[str, Any]:
        """Raw values of the request."""
        return {
            "affected": len(self.panel.affected),
            "distance_before": self.distance,
            "reference_norm": score_norm(self.factors, self.panel.affected),
            "trajectory": [list(point) for point in self.trajectory],
        }


def reference(
    problem: Problem, continued: Factors, forget: ForgetSet, scorer: Scorer, panel: Panel, *, seed: int
) -> Reference:
    """Retrain twice without `forget`; `continued` are the original's factors after more of its own training.

    The first retrain is the reference. The second, from another start, shows what a retrain costs and how far two
    retrains differ, so nothing below that is claimed.
    """
    started = time.perf_counter()
    remaining = problem.without(forget)
    cut = time.perf_counter() - started
    first = scorer.polish(remaining, seed=seed)
    original, factors, rows = panel.factors(problem), panel.factors(first), panel.affected
    distance = score_distance(original, factors, rows)
    points: list[tuple[float, float]] = []
    clock = cut

    def watch(_: int, seconds: float, params: Any) -> None:
        nonlocal clock
        clock = cut + seconds
        if not points or clock >= _SPACING * points[-1][0]:
            now = panel.factors(remaining.with_params(params()))
            points.append((clock, ratio(score_distance(now, factors, rows), distance)))

    second = scorer.polish(remaining, seed=seed + _OTHER_START, watch=watch)
    gap_floor = ratio(score_distance(panel.factors(second), factors, rows), distance)
    lists = panel.lists(first)
    moved = score_distance(original, factors, panel.remaining)
    return Reference(
        panel=panel,
        remaining=remaining,
        original=original,
        factors=factors,
        distance=distance,
        effect=ratio(moved, score_norm(factors, panel.remaining)),
        original_drift=ratio(score_distance(continued, original, rows), distance),
        gap_floor=gap_floor,
        overlap_floor=top_k_overlap(panel.lists(second), lists),
        retrain_auc=auc(*panel.forget_scores(first)),
        trajectory=(*points, (clock, gap_floor)),
        second=second,
        lists=lists,
    )
