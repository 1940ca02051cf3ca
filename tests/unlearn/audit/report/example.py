"""An audit of a small recommender as `unlearn audit` writes it, made once; its findings are written by hand."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from recsys.data import ratio, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import RankingScorer
from recsys.views import RankingSurroundings
from unlearn.audit import Comparison, compare
from unlearn.audit.finding import Finding
from unlearn.audit.stream import Yardstick, stream
from unlearn.audit.views import collect, provenance
from unlearn.jsonable import without_nan
from unlearn.methods.base import method

METHODS = ("reconverge", "fine_tune", "iau")
SHIFTS = {"no_op": 2.0, "reconverge": 0.0, "fine_tune": 0.4, "iau": 1.0}  # of a model that unlearned an example
LEVELS = ["low", "middle", "high"]
SHOWS_NOT = "robustness against stronger attacks"


@functools.cache
def text() -> str:
    """The JSON; the same object for every test, so that nobody changes another's."""
    return json.dumps(without_nan(_audit()), allow_nan=False)


def document() -> dict[str, Any]:
    return json.loads(text())


def _audit() -> dict[str, Any]:
    split = ratio(synthetic(120, 80, 2_400, seed=1), seed=1)
    scorer = RankingScorer(split.test)
    parts: list[Comparison] = []
    views: dict[str, Any] = {}
    for seed in (0, 1, 2):
        built = RecommenderProblem.build(split.refit(), objective=WholeData(l2=1.0, a=0.1), dim=24, layers=2)
        problem = built.fit(options=built.options)
        forget = problem.resolve(requests("random:0.08", problem.data, seed=seed)[0])
        chosen = [method(name) for name in METHODS]
        settings = {"data": "synthetic", "delete": "random:0.08", "model": "lightgcn", "objective": "whole_data"}
        parts.append(compare(problem, [forget], chosen, scorer, seed=seed, settings=settings, key=b"tests"))
        if seed == 0:
            panel = scorer.panel(problem, forget, seed=seed)
            remaining = problem.without(forget)
            views = collect(
                problem,
                [scorer.polish(remaining, seed=7), scorer.polish(remaining)],
                {one.name: one.forget(problem, forget).problem for one in chosen},
                panel,
                RankingSurroundings(problem, forget, panel.left),
            )
            many = [requests("random:0.01", problem.data, seed=5)[0]]
            for number in range(1, 6):
                left = problem.data
                for one in many:
                    left = left.without(one)
                many.append(requests("random:0.01", left, seed=5 + number)[0])
            served = stream(problem, many, method("fine_tune"), Yardstick(scorer, seed=0), measure=(1, 3, 6))
            streams = [served.content()]
    comparison = json.loads(Comparison.join(parts).to_json())
    return {
        "format": 1,
        "findings": {name: [asdict(one) for one in _findings(place)] for place, name in enumerate(("no_op", *METHODS))},
        "comparison": comparison,
        "settings": comparison["settings"],
        "digests": comparison["digests"],
        "provenance": provenance(),
        "views": views | {"records": {"groups": {"activity": {"levels": LEVELS, "of": LEVELS * 20}}}},
        "signals": [
            {"seed": 0, "parts": {name: _signals(0.9 * shift, k) for k, (name, shift) in enumerate(SHIFTS.items())}}
        ],
        "streams": streams,
    }


def _signals(shift: float, seed: int) -> dict[str, Any]:
    """Those of forty models for sixty examples, of which a third gives itself away more than the others."""
    rng = np.random.default_rng(seed)
    member = rng.random((40, 60)) < 0.5
    exposed = np.arange(60) % 3
    values = rng.normal(size=(40, 60)) + member * shift * exposed / 2
    held_out = rng.normal(size=(40, 30))
    return {
        "unlearned.forget": {
            "values": values.tolist(), "member": member.astype(int).tolist(), "blocks": list(range(40)),
        },
        "unlearned.held_out": {
            "values": held_out.tolist(), "member": np.zeros((40, 30), dtype=int).tolist(), "blocks": list(range(40)),
        },
    }  # fmt: skip


def _findings(place: int) -> list[Finding]:
    """From a clear failure to a clear pass."""
    away = (0.21, 0.004, 0.03, 0.08)[place]
    verdict = ("fail", "pass", "inconclusive", "fail")[place]
    rows = (("forget_auc", 0.5, 1.0), ("ulira_auc", 0.5, 1.2), ("rmia_auc", 0.5, 0.9), ("klom_p95", 0.6, 9.0),
            ("swap_advantage", 0.0, 0.8), ("relearn_ratio", 1.0, -1.5), ("epsilon_lower", 0.0, 5.0))  # fmt: skip
    return [
        Finding(
            metric=metric, value=floor + scale * away, low=floor + scale * away - 0.04,
            high=floor + scale * away + 0.04,
            null_floor=floor, resolution=0.05, requires=("retrain", "64 shadow models"), verdict=verdict,
            does_not_show=SHOWS_NOT,
        )
        for metric, floor, scale in rows
    ]  # fmt: skip
