"""How far a deletion reached: the change of scores by distance from what was forgotten, beside a retrain's."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, nan
from typing import Any

from unlearn.audit.contract import Panel
from unlearn.audit.measures import ratio
from unlearn.audit.views.contract import Surroundings
from unlearn.problem import Fitted


def ripple(models: Mapping[str, Fitted], reference: Fitted, panel: Panel, surroundings: Surroundings) -> dict[str, Any]:
    """For each ring of users and each model, with S_0 the original's scores, S_r the reference's and S_m the model's:

        change = |S_m - S_0| / |S_0|      reach = |S_m - S_0| / |S_r - S_0|       gap = |S_m - S_r| / |S_r - S_0|
        alignment = <S_m - S_0, S_r - S_0> / (|S_m - S_0| |S_r - S_0|)

    Reach above 1 is over-reach, below 1 under-reach; alignment says whether the change went the retrain's way.
    """
    everyone = {**models, "retrain": reference}
    answers = {name: panel.answers(model) for name, model in everyone.items()}
    before, after = answers["original"], answers["retrain"]
    rings: list[dict[str, Any]] = []
    for label, rows in surroundings.rings().items():
        size, wanted = panel.norm(before, rows), panel.distance(after, before, rows)
        found: dict[str, dict[str, float]] = {}
        for name, of_model in answers.items():
            moved, left = panel.distance(of_model, before, rows), panel.distance(of_model, after, rows)
            found[name] = {
                "change": ratio(moved, size),
                "reach": ratio(moved, wanted),
                "gap": ratio(left, wanted),
                "alignment": _cosine(moved, wanted, left),
            }
        rings.append({"ring": label, "users": len(rows), "models": found})
    return {"rings": rings}


def _cosine(left: float, right: float, apart: float) -> float:
    """Cosine between two vectors of these lengths whose ends are `apart`; NaN where one has no length."""
    if not all(map(isfinite, (left, right, apart))) or not left * right:
        return nan
    return max(-1.0, min(1.0, (left * left + right * right - apart * apart) / (2 * left * right)))
