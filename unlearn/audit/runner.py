"""Runs methods on requests and measures what came of it."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from unlearn.audit.comparison import Comparison, Measurement, RequestFacts
from unlearn.audit.contract import Scorer
from unlearn.audit.measures import auc, ratio, score_distance, score_norm, top_k_overlap
from unlearn.audit.reference import Reference, reference
from unlearn.forget import ForgetSet
from unlearn.methods.base import State, Unlearner, UnlearnResult, method
from unlearn.problem import Problem

_KEPT_SCORES = 5_000
_AMORTISED_OVER = 100


def compare(
    problem: Problem,
    requests: Sequence[ForgetSet],
    methods: Sequence[Unlearner],
    scorer: Scorer,
    *,
    seed: int,
    settings: Mapping[str, object] | None = None,
    key: bytes | None = None,
) -> Comparison:
    """Serve every request on the trained `problem` by every method, beside two retrains and the baselines.

    Rows of baselines are added where `methods` lacks them: `no_op`, `graph_drop`, `row_drop` (users and items only),
    `retrain` (the second of the two retrains) and `placebo` (a retrain without an equal-size random deletion).
    Each request starts from `problem`; results of methods that failed are kept and measured as they are.

    Args:
        requests: several give figures as quantiles over requests, one gives means over seeds (see `Comparison`).
        seed: of retrains and draws; the one the original was trained with makes the first retrain a coupled one.
        settings: what else the reader should know; stored as it is.
        key: with it the comparison carries keyed digests of the requests.

    Raises:
        UnknownIds: a request names what does not exist; raised before any work.
        MissingRequirement: the problem did not keep what a method needs; likewise.
    """
    resolved = [problem.resolve(forget) for forget in requests]
    methods = _with_baselines(methods, resolved)
    labels = _labels(methods)
    states = [_prepared(one, problem) for one in methods]
    panels = [scorer.panel(problem, forget, seed=seed) for forget in resolved]
    continued = scorer.polish(problem)
    measurements: list[Measurement] = []
    facts: list[RequestFacts] = []
    bar = tqdm(list(zip(resolved, panels, strict=True)), desc="requests", disable=None, leave=False)
    for number, (forget, panel) in enumerate(bar):
        against = reference(problem, panel.factors(continued), forget, scorer, panel, seed=seed)
        against.remaining.value_and_gradient(problem.params)  # no method pays for what is slow only once
        rows: list[tuple[str, dict[str, float | None], dict[str, Any]]] = []
        for one, label, state in zip(methods, labels, states, strict=True):
            gc.collect()
            result = one.forget(problem, forget, state)
            rows.append((label, *_measured(against, result.problem, _own(against, result, state, exact=one.exact))))
        if "retrain" not in {one.name for one in methods}:
            rows.append(("retrain", *_measured(against, against.second, _cold(against))))
        rows.append(("placebo", *_placebo(problem, forget, scorer, against, seed)))
        measurements += [Measurement(label, seed, number, values, raw) for label, values, raw in rows]
        digest = None if key is None else forget.digest(key)
        facts.append(RequestFacts(seed, number, forget.counts(), digest, against.facts()))
    described = {
        label: json.loads(json.dumps(m.arguments(), default=str)) for label, m in zip(labels, methods, strict=True)
    }
    return Comparison(
        measurements=tuple(measurements),
        requests=tuple(facts),
        settings={**(settings or {}), "methods": described},
        digests=dict(scorer.digests(problem)),
    )


def _with_baselines(methods: Sequence[Unlearner], requests: Sequence[ForgetSet]) -> list[Unlearner]:
    whole = any(forget.users or forget.items for forget in requests)
    wanted = ["no_op", "graph_drop", *(["row_drop"] if whole else [])]
    present = {one.name for one in methods}
    return [*(method(name) for name in wanted if name not in present), *methods]


def _labels(methods: Sequence[Unlearner]) -> list[str]:
    """The methods' names; with arguments where one name occurs twice."""
    names = [one.name for one in methods]
    return [
        one.name
        if names.count(one.name) == 1
        else f"{one.name}({', '.join(f'{name}={value}' for name, value in one.arguments().items())})"
        for one in methods
    ]


def _prepared(one: Unlearner, problem: Problem) -> State | None:
    gc.collect()
    return one.prepare(problem)


def _own(against: Reference, result: UnlearnResult, state: State | None, *, exact: bool) -> dict[str, float | None]:
    """Figures that come from how a method worked: its price, its residual, its bound."""
    gap = against.gap(result.problem)
    cold = against.seconds_until(gap)
    prepare = state.seconds if state else 0.0
    # What left the residual as it was has nothing to prove.
    provable = _finite(result.problem) and (exact or result.residual_ratio < 1.0)
    bound = result.bound
    if bound is None and provable:
        bound = against.remaining.with_params(result.problem.params).optimality()
    return {
        "residual_ratio": result.residual_ratio,
        "score_bound": None if bound is None else bound.relative,
        "bound_seconds": None if bound is None else bound.seconds,
        "rows_changed": float(result.n_rows_changed),
        "seconds": result.seconds,
        "prepare_seconds": prepare,
        "prepare_mb": state.megabytes if state else 0.0,
        "speedup_vs_retrain": ratio(cold, result.seconds),
        "speedup_amortised_100": ratio(cold, result.seconds + prepare / _AMORTISED_OVER),
        "fallback": float(result.fallback),
    }


def _cold(against: Reference) -> dict[str, float | None]:
    """The same for the second retrain, which is its own measure of speed."""
    seconds = against.trajectory[-1][0]
    bound = against.second.optimality()
    before = against.remaining.residual()
    return {
        "residual_ratio": ratio(against.second.residual(), before),
        "score_bound": None if bound is None else bound.relative,
        "bound_seconds": None if bound is None else bound.seconds,
        "rows_changed": float(sum(int(rows.sum()) for _, rows in against.remaining.row_changes(against.second.params))),
        "seconds": seconds,
        "prepare_seconds": 0.0,
        "prepare_mb": 0.0,
        "speedup_vs_retrain": 1.0,
        "speedup_amortised_100": 1.0,
        "fallback": 0.0,
    }


def _measured(
    against: Reference, problem: Problem, own: Mapping[str, float | None]
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """All figures of one resulting model, and the raw values behind them."""
    panel = against.panel
    positive, negative = panel.forget_scores(problem)
    gap = against.gap(problem)
    values: dict[str, float | None] = {
        **panel.utility(problem),
        "forget_auc": auc(positive, negative),
        "retrain_auc": against.retrain_auc,
        "retrain_gap": gap,
        "gap_floor": against.gap_floor,
        "original_drift": against.original_drift,
        "below_floor": float(gap < max(against.gap_floor, against.original_drift)),
        "overlap": top_k_overlap(panel.lists(problem), against.lists),
        "overlap_floor": against.overlap_floor,
        "effect": against.effect,
        **own,
    }
    return values, _raw(positive, negative) | {"distance_after": gap * against.distance}


def _placebo(
    problem: Problem, forget: ForgetSet, scorer: Scorer, against: Reference, seed: int
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """A retrain that forgot something else: its own utility and effect, and how it scores what it kept."""
    instead = scorer.placebo(problem, forget, seed=seed)
    panel = scorer.panel(problem, instead, seed=seed)  # those it forgot in its turn are not asked for their utility
    other = scorer.polish(problem.without(instead), seed=seed)
    factors = panel.factors(other)
    positive, negative = against.panel.forget_scores(other)
    values: dict[str, float | None] = {
        **panel.utility(other),
        "forget_auc": auc(positive, negative),
        "retrain_auc": against.retrain_auc,
        "effect": ratio(
            score_distance(against.original, factors, panel.remaining), score_norm(factors, panel.remaining)
        ),
    }
    return values, _raw(positive, negative)


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
        ordered = ordered[torch.linspace(0, len(ordered) - 1, _KEPT_SCORES).round().long()]
    return [float(f"{value:.6g}") if value == value else nan for value in ordered.tolist()]


def _finite(problem: Problem) -> bool:
    return all(bool(value.isfinite().all()) for value in problem.params.values())
