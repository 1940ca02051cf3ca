"""Recommenders in closed form: how well they rank Gowalla, and what forgetting one user costs.

Filter: rank and weight of the low-pass are chosen on validation (a sample of users), then it is fitted to train and
validation and tested; the seconds are those of all that. ALS: two settings, one that settles and one that ranks well.
Deletion: users stratified by activity leave one at a time, each from the same fitted model. Gap: the distance of the
scores of the affected users (at most 2,000) from those of the reference, over that of the model that forgot nothing;
the reference is the same solver taken further on the remaining data, and a cold refit beside it says how far that is
from where another start ends. Leftover: how far the same solver would still move the model that forgot nothing, over
the same distance; where that is not well below a gap, the gap is about training. EASE is compared with its refit.
Wall-clock seconds are judged; processor seconds beside them say what other processes added.
Bars: Recall@20 >= .183 and NDCG@20 >= .152 within 600 s; one user in < 100 ms for the item-item filter and for an ALS
half-step, in < 1 s at gap <= .05 with low-pass and for joint ALS, in < 50 ms for EASE on ML-100K.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from common import Stopwatch, arguments, at_least, finish, load, report, say, shown, spread, verdict
from numpy.typing import NDArray

from recsys.closed_form import ClosedForm, Ease, GraphFilter, ImplicitAls
from recsys.data import Interactions, Split
from recsys.evaluate import evaluate_scores
from recsys.scorer import affected_users
from unlearn.forget import ForgetSet
from unlearn.streams import uniforms

F = TypeVar("F", bound=ClosedForm)
BAR_RECALL, BAR_NDCG, BAR_SECONDS, BAR_GAP = 0.183, 0.152, 600.0, 0.05
SETTLES, RANKS = "joint ALS, 32 columns", "joint ALS, 128 columns"
ALS: dict[str, dict[str, Any]] = {
    SETTLES: {"dim": 32, "alpha": 20.0, "l2": 500.0, "nu": 0.0},
    RANKS: {"dim": 128, "alpha": 200.0, "l2": 100.0, "nu": 1.0, "max_sweeps": 30},
}
ALS_QUICK: dict[str, dict[str, Any]] = {
    SETTLES: {"dim": 4, "alpha": 20.0, "l2": 20.0, "nu": 0.0},
    RANKS: {"dim": 8, "alpha": 20.0, "l2": 20.0, "nu": 0.5},
}
PARTS = ("filter", "als-settles", "als-ranks", "ease")


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    sample: int  # validation users
    users: int  # deleted one at a time
    gaps: int  # of them, with a reference
    cold: int  # of those, with a cold refit
    scored: int  # affected users in a gap


FULL = Effort((128, 256, 512), (0.1, 0.2, 0.3), 4000, 30, 6, 1, 2_000)
QUICK = Effort((4, 8), (0.1, 0.3), 50, 4, 2, 1, 50)


def own(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be given again [all]")
    parser.add_argument("--users", type=at_least(2), help="users that leave, one at a time [30]")
    parser.add_argument("--gaps", type=at_least(1), help="of them, those compared with a reference [6]")


def main() -> None:
    options = arguments(__doc__, own)
    effort = QUICK if options.quick else FULL
    effort = replace(effort, users=options.users or effort.users, gaps=options.gaps or effort.gaps)
    settings = ALS_QUICK if options.quick else ALS
    result = report(options, "closed_form", load(options, "gowalla"), {**asdict(effort), "als": settings})
    result["deletion"] = {}
    parts = {"filter": filters, "als-settles": partial(als, SETTLES), "als-ranks": partial(als, RANKS), "ease": ease}
    for name in options.only or PARTS:
        parts[name](options, effort, result)
    finish(options, result)


def filters(options: argparse.Namespace, effort: Effort, result: dict[str, Any]) -> None:
    split = load(options, "gowalla")
    result["quality"], low_pass = quality(split, effort)
    data = split.refit()
    rows = by_activity(data, effort.users)
    if low_pass.rank != GraphFilter.rank and not options.quick:
        low_pass = timed_fit(GraphFilter(data=data))  # what the bar of deletion is about is the default
    item_filter = replace(low_pass, rank=0, params={})
    item_filter.scores(rows[:1])  # builds what serving keeps
    result["deletion"]["item-item filter"] = deletion("item-item filter", item_filter, rows, 0.1)
    name = "filter with low-pass"
    result["deletion"][name] = deletion(name, low_pass, rows, 1.0) | gaps(name, low_pass, rows, effort, tolerance=3e-5)


def als(name: str, options: argparse.Namespace, effort: Effort, result: dict[str, Any]) -> None:
    """Fitted and referred to in double precision, in which sweeps go on for as long as they help; served in single."""
    split = load(options, "gowalla")
    data = split.refit()
    rows, found = by_activity(data, effort.users), result["deletion"]
    fine = timed_fit(ImplicitAls(data=data, dtype=torch.float64, tolerance=1e-8, **result["settings"]["als"][name]))
    joint = replace(fine, dtype=torch.float32, params={key: table.float() for key, table in fine.params.items()})
    figures = ranking(joint, data, split.test, None)
    say(f"{name}: test Recall@20 {figures['recall_at_20']:.4f}, NDCG@20 {figures['ndcg_at_20']:.4f}")
    half = f"half-step of {name}"
    found[half] = deletion(half, replace(joint, steps=0), rows, 0.1)
    found[name] = deletion(name, joint, rows, 1.0)
    finish(options, result)
    found[name] |= {"quality": figures} | gaps(name, joint, rows, effort, tolerance=1e-8)


def ease(options: argparse.Namespace, effort: Effort, result: dict[str, Any]) -> None:
    small = load(options, "ml-100k").train
    model = timed_fit(Ease(data=small))
    figures = deletion("EASE", model, by_activity(small, effort.users), 0.05)
    result["deletion"]["EASE"] = figures | {"difference_to_refit": ease_difference(model, by_activity(small, 3))}


def quality(split: Split, effort: Effort) -> tuple[dict[str, Any], GraphFilter]:
    """Figures of the choice and of the test, and the filter fitted to train and validation."""
    watch, busy = Stopwatch(), time.process_time()
    widest = GraphFilter(data=split.train, rank=max(effort.ranks)).fit()
    sample = drawn(split.train, effort.sample)
    tried: list[dict[str, Any]] = []
    for rank in effort.ranks:
        for alpha in effort.alphas:
            # Singular vectors come best first, so those of a lower rank are among them.
            model = replace(widest, rank=rank, alpha=alpha)
            tried.append({"rank": rank, "alpha": alpha, **ranking(model, split.train, split.validation, sample)})
            say("validation: " + ", ".join(f"{key} {value:.4g}" for key, value in tried[-1].items()))
    chosen = max(tried, key=lambda row: row["recall_at_20"] + row["ndcg_at_20"])
    final = GraphFilter(data=split.refit(), rank=chosen["rank"], alpha=chosen["alpha"]).fit()
    figures = ranking(final, final.data, split.test, None)
    seconds, busy = watch.seconds, time.process_time() - busy
    met = figures["recall_at_20"] >= BAR_RECALL and figures["ndcg_at_20"] >= BAR_NDCG and seconds <= BAR_SECONDS
    say(
        f"test at rank {final.rank}, alpha {final.alpha}: Recall@20 {figures['recall_at_20']:.4f}, "
        f"NDCG@20 {figures['ndcg_at_20']:.4f}, {seconds:.0f} s in all (processor: {busy:.0f} s); "
        f"{verdict(met)} >= {BAR_RECALL} and >= {BAR_NDCG} within {BAR_SECONDS:g} s"
    )
    settings = {"rank": final.rank, "alpha": final.alpha}
    return {"validation": tried, "chosen": settings, **figures, "seconds": seconds, "processor_seconds": busy}, final


def drawn(data: Interactions, count: int) -> NDArray[np.int64]:
    """User rows [count] by their own keys, ascending."""
    return np.sort(np.argsort(uniforms(0, "benchmark/sample", data.users.keys))[:count])


def ranking(
    model: ClosedForm, train: Interactions, test: Interactions, sample: NDArray[np.int64] | None
) -> dict[str, float]:
    found = evaluate_scores(model.scores, train=train, test=test, users_subset=sample).summary()
    return {name: found[name] for name in ("recall_at_20", "ndcg_at_20")}


def timed_fit(model: F) -> F:
    watch = Stopwatch()
    fitted = model.fit()
    say(f"{model.name}: fitted in {watch.seconds:.1f} s")
    return fitted


def by_activity(data: Interactions, count: int) -> NDArray[np.int64]:
    """User rows from the least to the most active, evenly spread over their ranks."""
    degrees = data.degrees()[0]
    order = np.argsort(degrees, kind="stable")
    order = order[degrees[order] > 0]
    return order[np.linspace(0, len(order) - 1, count).astype(np.int64)]


def request(model: ClosedForm, row: int) -> ForgetSet:
    return ForgetSet(users=tuple(model.data.users.take([row])))


def deletion(label: str, model: ClosedForm, rows: NDArray[np.int64], bar: float) -> dict[str, Any]:
    """Seconds of forgetting each user, until the model can score again; processor seconds beside them."""
    wall: list[float] = []
    busy: list[float] = []
    model.forget(request(model, int(rows[0])))  # what only the first call costs
    for row in rows:
        forget = request(model, int(row))
        other = rows[1] if row == rows[0] else rows[0]
        began = time.perf_counter(), time.process_time()
        after = model.forget(forget)
        after.scores(np.array([other]))
        wall.append(time.perf_counter() - began[0])
        busy.append(time.process_time() - began[1])
    figures: dict[str, Any] = {"seconds": tail(wall), "processor_seconds": tail(busy), "bar_seconds": bar}
    met = verdict(figures["seconds"]["median"] < bar)
    say(
        f"{label}: one user in {shown(figures['seconds'])} s, p90 {figures['seconds']['p90']:.3g} (processor: "
        f"{shown(figures['processor_seconds'])} s, p90 {figures['processor_seconds']['p90']:.3g}); {met} < {bar:g} s"
    )
    return figures


def tail(values: list[float]) -> dict[str, Any]:
    """A spread and its 90th percentile."""
    return spread(values) | {"p90": float(np.quantile(values, 0.9))}


def gaps(label: str, model: ClosedForm, rows: NDArray[np.int64], effort: Effort, *, tolerance: float) -> dict[str, Any]:
    """Gap of each of some users to the solver taken further, and of a cold refit for a few of them."""
    found: list[float] = []
    floors: list[float] = []
    effects: list[float] = []
    left: list[float] = []
    chosen = rows[np.linspace(0, len(rows) - 1, effort.gaps).astype(np.int64)]
    settled = continued(model, tolerance)
    for number, row in enumerate(chosen):
        forget = request(model, int(row))
        after = model.forget(forget)
        reference = continued(after, tolerance)
        asked = affected_users(model, after.data, forget, seed=0)
        asked = asked[np.linspace(0, len(asked) - 1, min(effort.scored, len(asked))).astype(np.int64)]
        goal = reference.scores(asked)
        effect = (model.scores(asked) - goal).norm()
        found.append(float((after.scores(asked) - goal).norm() / effect))
        effects.append(float(effect / goal.norm()))
        left.append(float((settled.scores(asked) - model.scores(asked)).norm() / effect))
        say(f"{label}: gap {found[-1]:.3g}, effect {effects[-1]:.3g}, leftover {left[-1]:.3g}")
        if number >= len(chosen) - effort.cold:
            cold = replace(reference.without(forget), params={}).fit()
            floors.append(float((cold.scores(asked) - goal).norm() / effect))
    figures: dict[str, Any] = {
        "interactions": model.data.degrees()[0][chosen].tolist(),
        "gap": tail(found),
        "effect": spread(effects),
        "leftover": spread(left),
        "cold_refit_gap": floors,
        "bar_gap": BAR_GAP,
    }
    met = verdict(figures["gap"]["median"] <= BAR_GAP)
    cold = ", ".join(f"{floor:.3g}" for floor in floors)
    say(
        f"{label}: gap {shown(figures['gap'])}, p90 {figures['gap']['p90']:.3g}; {met} <= {BAR_GAP} "
        f"(effect {shown(figures['effect'])}, leftover {shown(figures['leftover'])}, gap of a cold refit {cold})"
    )
    return figures


def continued(model: F, tolerance: float) -> F:
    """The solver taken further, from where the model stands; ALS in double precision, which its tolerance needs."""
    if isinstance(model, ImplicitAls):
        params = {name: table.double() for name, table in model.params.items()}
        model = replace(model, dtype=torch.float64, params=params)
    return replace(model, tolerance=tolerance).fit(model.params)


def ease_difference(model: Ease, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Largest difference of the inverse from that of a refit, over its largest entry."""
    differences: list[float] = []
    for row in rows:
        forget = request(model, int(row))
        refit = model.without(forget).fit().params["inverse"]
        moved = (model.forget(forget).params["inverse"] - refit).abs().max()
        differences.append(float(moved / refit.abs().max()))
    say(f"EASE: largest difference to a refit {max(differences):.2g}")
    return spread(differences)


if __name__ == "__main__":
    main()
