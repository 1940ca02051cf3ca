"""What can be proven after a deletion, what it costs, and how near the truth it is.

LightGCN by default settings. Requests: 5 % of all interactions, once a seed; then single users from each tercile of
activity. Each is served by re-convergence far beyond what the scores need, and the scores are bounded from there.
`bound`: proven distance of the scores from those of any exact retrain; `distance`: that from a cold retrain of another
start, polished, which is no exact one either and so may be off by its own bound, `retrain_bound`; all three over the
norm of the scores. `effect`: |S_0 - S_r| / |S_r| over remaining users, what the deletion moves. A bound says something
where it is below the effect. Bars: at most half the effect of 5 %, below that of the median single user, and computed
in at most the time of the re-convergence.

Then the floor: how far two polished cold retrains without the same 5 % differ from each other, over what the deletion
moves (the `gap_floor` of `unlearn evaluate`), at 64 columns, below the rank of the solution, and at the default width.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from common import add_dataset, arguments, at_least, finish, load, report, say, shown, spread, verdict
from tqdm import tqdm

from recsys.answers import score_distance, score_norm
from recsys.data import Interactions
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import affected_users
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet
from unlearn.methods import method
from unlearn.methods.retrain import OTHER_START

OBJECTIVE = WholeData()  # with DIM and LAYERS, what `unlearn train` takes where nothing else is said
DIM, LAYERS = 192, 3
SHARE, USER = "5 %", "one user"
RESOLUTIONS = {SHARE: 0.03, USER: 0.005}  # finer for the smaller effect; the products needed grow as the inverse
METHOD = {"accuracy": 1e-3}
FIGURES = ("bound", "effect", "distance", "retrain_bound", "reconverge_seconds", "bound_seconds", "retrain_seconds")


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    users: int
    seeds: int  # of the 5 % and of the floors
    narrow: int  # columns below the rank
    wide: int


def main() -> None:
    options = arguments(__doc__, own=flags)
    effort = Effort(3, 1, 2, 32) if options.quick else Effort(options.users, options.seeds, 64, DIM)
    split = load(options, options.dataset, options.split)
    settings = {
        "dataset": options.dataset,
        "layers": LAYERS,
        "objective": OBJECTIVE.arguments(),
        "method": METHOD,
        "resolutions": RESOLUTIONS,
        **asdict(effort),
    }
    result = report(options, "proof", split, settings)
    result["requests"] = []
    data = split.refit()
    trained = original(data, effort.wide, seed=0)
    trained.optimality(max_iterations=3)  # what only the first call costs
    for name, forget in tqdm(list(asked(data, effort)), desc="requests", disable=None, leave=False):
        result["requests"].append(serve(name, trained, forget))
        finish(options, result)
    result["summary"] = {name: summary(name, result["requests"]) for name in RESOLUTIONS}
    finish(options, result)
    result["floors"] = []
    for dim in (effort.narrow, effort.wide):
        result["floors"].append(floor(data, dim, effort.seeds))
        finish(options, result)


def flags(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    parser.add_argument("--users", type=at_least(1), default=30, help="requests of one user each [30]")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="draws of 5 %%, and of the floors [3]")


def original(data: Interactions, dim: int, seed: int) -> RecommenderProblem:
    """The model that requests are served on, polished: what is left of its own training is no effect of a request."""
    training = TrainingOptions(seed=seed).polished()
    subject = RecommenderProblem.build(data, objective=OBJECTIVE, options=training, dim=dim, layers=LAYERS)
    return subject.fit()


def retrained(remaining: RecommenderProblem, seed: int) -> RecommenderProblem:
    return remaining.fit(options=replace(remaining.options, seed=seed))


def asked(data: Interactions, effort: Effort) -> Iterator[tuple[str, ForgetSet]]:
    for seed in range(effort.seeds):
        yield from ((SHARE, forget) for forget in requests("random:0.05", data, seed=seed))
    yield from ((USER, forget) for forget in requests(f"one-user:{effort.users}", data, seed=0))


# ---- proof -----------------------------------------------------------------------------------------------------------


def serve(name: str, trained: RecommenderProblem, forget: ForgetSet) -> dict[str, Any]:
    """One request: what is proven of its result, and what is true."""
    remaining = trained.without(forget)
    remaining.value_and_gradient(trained.params)  # what is slow once for every graph
    served = method("reconverge", **METHOD).forget(trained, forget)
    after = served.problem
    assert isinstance(after, RecommenderProblem)
    retrain = retrained(remaining, OTHER_START)
    proven, of_retrain = (one.optimality(resolution=RESOLUTIONS[name]) for one in (after, retrain))
    assert proven is not None and of_retrain is not None
    before, scores, target = trained.readout(), after.readout(), retrain.readout()
    left = torch.from_numpy(np.flatnonzero(remaining.data.users.alive))
    norm = score_norm(scores)
    row: dict[str, Any] = {
        "request": name,
        "records_removed": served.records_removed,
        "residual_ratio": served.residual_ratio,
        "bound": proven.relative,
        "curvature_over_l2": proven.curvature / OBJECTIVE.l2,
        "effect": score_distance(before, target, left) / score_norm(target, left),
        "distance": score_distance(scores, target) / norm,
        "retrain_bound": of_retrain.score_distance / norm,
        "reconverge_seconds": served.seconds,
        "bound_seconds": proven.seconds,
        "retrain_seconds": retrain.history.seconds,
    }
    say(f"{name:9} {row['records_removed']:6} gone  " + "  ".join(f"{key} {row[key]:.3g}" for key in FIGURES))
    return row


def summary(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians and ends over the requests of one kind, and the shares of them that are proven and proven in time."""
    mine = [row for row in rows if row["request"] == name]
    figures: dict[str, Any] = {key: spread(row[key] for row in mine) for key in FIGURES}
    figures["share_below_effect"] = sum(row["bound"] < row["effect"] for row in mine) / len(mine)
    figures["share_in_time"] = sum(row["bound_seconds"] <= row["reconverge_seconds"] for row in mine) / len(mine)
    say(f"{name}, {len(mine)} requests, median (ends):")
    for key in FIGURES:
        say(f"  {key:18} {shown(figures[key])}")
    wanted = figures["effect"]["median"] * (0.5 if name == SHARE else 1.0)
    figures["bar"] = wanted
    say(
        f"  bound below effect for {figures['share_below_effect']:.0%}, computed within the time of re-convergence for "
        f"{figures['share_in_time']:.0%}; {verdict(figures['bound']['median'] <= wanted)} median <= {wanted:.3g}"
    )
    return figures


# ---- floor -----------------------------------------------------------------------------------------------------------


def floor(data: Interactions, dim: int, seeds: int) -> dict[str, Any]:
    """The gap between two cold retrains without the same 5 %, at one width, and what is proven of the second."""
    gaps: list[float] = []
    bounds: list[float] = []
    for seed in tqdm(range(seeds), desc=f"floor at {dim} columns", disable=None, leave=False):
        trained = original(data, dim, seed)
        (forget,) = requests("random:0.05", data, seed=seed)
        remaining = trained.without(forget)
        first, second = retrained(remaining, seed), retrained(remaining, seed + OTHER_START)
        rows = torch.from_numpy(affected_users(trained, remaining.data, forget, seed=seed))
        target = first.readout()
        gaps.append(score_distance(second.readout(), target, rows) / score_distance(trained.readout(), target, rows))
        proven = second.optimality(resolution=RESOLUTIONS[SHARE])
        assert proven is not None
        bounds.append(proven.relative)
    row: dict[str, Any] = {"dim": dim, "gap_floor": spread(gaps), "bound": spread(bounds)}
    say(f"{dim} columns: two retrains differ by a gap of {shown(row['gap_floor'])}, bound {shown(row['bound'])}")
    return row


if __name__ == "__main__":
    main()
