"""The figures of one row of a comparison, and the raw values behind them."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

import torch
from torch import Tensor

from unlearn.audit.contract import Panel, Scorer
from unlearn.audit.measures import auc, ratio, top_k_overlap
from unlearn.audit.reference import Reference
from unlearn.forget import ForgetSet
from unlearn.methods.base import State, UnlearnResult, finite
from unlearn.problem import Fitted, Problem

Values = dict[str, float | None]
Figures = tuple[Values, dict[str, Any]]

_KEPT_SCORES = 5_000
_AMORTISED_OVER = 100


def of_method(against: Reference, result: UnlearnResult, state: State | None, *, exact: bool) -> Figures:
    """What a method reached, and what it cost: its price, its residual, its bound."""
    gap = against.gap(result.problem)
    seconds = against.seconds_until(gap)
    prepare = state.seconds if state else 0.0
    # What left the residual as it was has nothing to prove.
    provable = exact or (result.residual_ratio is not None and result.residual_ratio < 1.0)
    own: Values = {
        "residual_ratio": result.residual_ratio,
        **(_bounded(result.problem) if provable else _UNBOUNDED),
        "rows_changed": float(result.n_rows_changed) if result.rows_changed else None,
        "seconds": result.seconds,
        "prepare_seconds": prepare,
        "prepare_mb": state.megabytes if state else 0.0,
        "speedup_vs_retrain": ratio(seconds, result.seconds),
        "speedup_amortised_100": ratio(seconds, result.seconds + prepare / _AMORTISED_OVER),
        "fallback": float(result.fallback),
    }
    return _measured(against, result.problem, gap, own)


def of_retrain(against: Reference) -> Figures:
    """The same for the cold retrain, which is its own measure of speed."""
    remaining, model = against.remaining, against.cold
    residual = changed = None
    if isinstance(remaining, Problem) and isinstance(model, Problem):
        residual = None if remaining.stochastic else ratio(model.residual(), remaining.residual())
        changed = float(sum(int(rows.sum()) for _, rows in remaining.row_changes(model.params)))
    own: Values = {
        "residual_ratio": residual,
        **_bounded(model),
        "rows_changed": changed,
        "seconds": against.trajectory[-1][0],
        "prepare_seconds": 0.0,
        "prepare_mb": 0.0,
        "speedup_vs_retrain": 1.0,
        "speedup_amortised_100": 1.0,
        "fallback": 0.0,
    }
    return _measured(against, model, against.gap_floor, own)


def of_other(against: Reference) -> Values:
    """Utility and forget AUC of the retrain without a row: beside the retrain's, how far two retrains differ."""
    panel = against.panel
    return {**panel.utility(against.other), "forget_auc": auc(*panel.forget_scores(against.other))}


def of_placebo(
    model: Fitted, forget: ForgetSet, scorer: Scorer, panel: Panel, retrain_auc: float, seed: int
) -> Figures:
    """A retrain that forgot something else: its own utility and effect, and how it scores what it kept."""
    instead = scorer.placebo(model, forget, seed=seed)
    its_panel = scorer.panel(model, instead, seed=seed)  # those it forgot in its turn are not asked for their utility
    other = scorer.polish(model.without(instead), seed=seed)
    before, after = its_panel.answers(model), its_panel.answers(other)
    rows = its_panel.remaining
    positive, negative = panel.forget_scores(other)
    values: Values = {
        **its_panel.utility(other),
        "forget_auc": auc(positive, negative),
        "retrain_auc": retrain_auc,
        "effect": ratio(its_panel.distance(before, after, rows), its_panel.norm(after, rows)),
    }
    return values, _raw(positive, negative)


_UNBOUNDED: Values = {"score_bound": None, "bound_seconds": None}


def _bounded(model: Fitted) -> Values:
    if not isinstance(model, Problem) or not finite(model):
        return _UNBOUNDED
    bound = model.optimality()
    return _UNBOUNDED if bound is None else {"score_bound": bound.relative, "bound_seconds": bound.seconds}


def _measured(against: Reference, model: Fitted, gap: float, own: Mapping[str, float | None]) -> Figures:
    """All figures of one resulting model, and the raw values behind them."""
    panel = against.panel
    positive, negative = panel.forget_scores(model)
    values: Values = {
        **panel.utility(model),
        "forget_auc": auc(positive, negative),
        "retrain_auc": against.retrain_auc,
        "retrain_gap": gap,
        "gap_floor": against.gap_floor,
        "original_drift": against.original_drift,
        "below_floor": float(gap < max(against.gap_floor, against.original_drift)),
        "overlap": top_k_overlap(panel.lists(model), against.lists),
        "overlap_floor": against.overlap_floor,
        "effect": against.effect,
        **own,
    }
    return values, _raw(positive, negative) | {"distance_after": gap * against.distance}


def _raw(positive: Tensor, negative: Tensor) -> dict[str, Any]:
    return {
        "positive": _kept(positive),
        "negative": _kept(negative),
        "n_positive": positive.numel(),
        "n_negative": negative.numel(),
    }


def _kept(scores: Tensor) -> list[float]:
    """The scores in ascending order, six digits each; beyond 5,000 an even choice of them."""
    ordered = scores.flatten().double().sort().values
    if len(ordered) > _KEPT_SCORES:
        ordered = ordered[torch.linspace(0, len(ordered) - 1, _KEPT_SCORES, dtype=torch.float64).round().long()]
    return [float(f"{value:.6g}") if value == value else nan for value in ordered.tolist()]
