"""Settings of methods whose default is a published constant or one choice of many, chosen on validation alone.

The model is trained on the training part only, and every draw is made with a seed that no judged request has. Of a
method's settings the fastest is chosen whose worst gap over the requests is within the bar, and where none is, the one
with the smallest. It joins the default, it never replaces it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from frontier_figure import distance
from served import serve_all

from recsys.commands.build import build_model
from recsys.commands.options import Setup
from recsys.data import Interactions, Split
from recsys.problem import RecommenderProblem
from recsys.requests import drawn
from recsys.scorer import RankingScorer
from unlearn.audit import Comparison, compare
from unlearn.forget import ForgetSet
from unlearn.methods.gradient import Forgotten
from unlearn.specification import read, unlearner

# {held_out}: the mean loss of records that the model has never seen, up to which the forgotten ones' is raised.
CANDIDATES = (
    "reconverge:accuracy=0.1",
    "reconverge:accuracy=0.03",
    "newton:steps=1",
    "newton:steps=1:max_products=25",
    "influence:max_products=25",
    "gif:max_products=25",
    "iau:lr=0.003:steps=100:calibrate={held_out}",
    "iau:lr=0.02:steps=100:calibrate={held_out}",
    "gradient_ascent:lr=0.003:steps=100:update=adam:calibrate={held_out}",
    "neg_grad:lr=0.001",
    "neg_grad:lr=0.003",
    "fine_tune:lr=0.001",
    "fine_tune:lr=0.003",
    "l1_sparse:lr=0.001",
    "bad_teacher:lr=0.001",
    "scrub:lr=0.001",
    "ssd:threshold=3",
    "ssd:threshold=30",
    "gnn_delete:lr=0.001",
    "rewind:share=0.75",
    "rewind:share=0.9",
)
OTHER_SEED = 7_001
KEPT = frozenset({"checkpoints", "optimizer"})  # for the methods that need them, where training samples
_MARGIN = 0.9  # what is within a tenth of the default is no reason to leave it


@dataclass(frozen=True)
class Tried:
    """What one setting came to on the validation requests; None where it could not be applied or gave no number."""

    method: str
    gap: float | None  # the worst over the requests, see `distance`
    seconds: float | None


def choose(
    setup: Setup, split: Split, requests: Sequence[str], methods: Sequence[str], *, bar: float, limit: float
) -> tuple[list[str], list[Tried]]:
    """The chosen settings of these methods, without those that are defaults, and all that was tried."""
    inner = Split(split.train, _nothing(split.train), split.validation)
    comparisons: list[Comparison] = []
    labels: list[str] = []
    for request in requests:
        try:
            data, forget = drawn(request, inner, seed=OTHER_SEED)
            model = build_model(setup, data, seed=OTHER_SEED, progress=False, keep=KEPT).fit()
            if not labels:
                labels = [*methods, *_candidates(model, split, methods)]
            served = serve_all([(label, unlearner(label)) for label in labels], model, forget, limit=limit)
            comparisons.append(compare(model, forget, served, RankingScorer(inner.test), seed=OTHER_SEED))
        except ValueError:
            continue  # more than the training part has, or what the request's cell says
    tried = [_tried(label, comparisons) for label in labels] if comparisons else []
    chosen = [best(rows, bar) for name in methods if (rows := [one for one in tried if read(one.method)[0] == name])]
    return [one.method for one in chosen if one is not None and one.method not in methods], tried


def best(rows: Sequence[Tried], bar: float) -> Tried | None:
    """The fastest within the bar, or the one with the smallest gap; the first, the default, unless by a margin."""

    def price(one: Tried) -> tuple[bool, float]:
        assert one.gap is not None and one.seconds is not None
        within = one.gap <= bar
        return not within, (one.seconds if within else one.gap) * (_MARGIN if one is rows[0] else 1.0)

    return min((one for one in rows if one.gap is not None), key=price, default=None)


def held_out_loss(model: RecommenderProblem, split: Split) -> float:
    """Mean loss of the validation interactions under a model that was trained on train."""
    everything = RecommenderProblem.build(
        split.refit(), model=model.model, objective=model.objective_function, options=model.options
    ).with_params(model.params)
    unseen = split.validation
    pairs = zip(unseen.users.take(unseen.user_rows()), unseen.items.take(unseen.item_rows()), strict=True)
    return Forgotten.of(everything, ForgetSet(interactions=tuple(pairs))).mean_loss(model.params)


def _candidates(model: Any, split: Split, methods: Sequence[str]) -> list[str]:
    held_out = f"{held_out_loss(model, split):.4g}" if isinstance(model, RecommenderProblem) else None
    return [
        text.format(held_out=held_out)
        for text in CANDIDATES
        if read(text)[0] in methods and ("{" not in text or held_out is not None)
    ]


def _tried(label: str, comparisons: Sequence[Comparison]) -> Tried:
    gaps: list[float] = []
    seconds = 0.0
    for comparison in comparisons:
        own = comparison.central(label)
        gap = distance(own.get("retrain_gap"), own.get("gap_floor"), comparison.requests[0].raw["reference"])
        if gap is None:
            return Tried(label, None, None)
        gaps.append(gap)
        seconds += own["seconds"] or 0.0
    return Tried(label, max(gaps), seconds)


def _nothing(data: Interactions) -> Interactions:
    return data.take(np.zeros(0, dtype=np.int64))
