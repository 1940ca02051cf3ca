"""All methods on one frontier: how near to the retrain, how well forgotten, at what price.

A cell is one kind of request on one model of one data set, with every method that can be applied, over seeds; it has
the fields of `unlearn evaluate`. By default it is LightGCN under `whole_data` on one data set, 5 % of the interactions
and 20 users. `--full` takes LastFM, ML-100K and Yelp2 below the folder of `--data`, LightGCN and MF, five kinds of
request. Beside the defaults every method may have one more setting, chosen on validation (see `frontier_settings`;
`--no-tune` leaves that out). Methods run one by one, each for at most `--limit` seconds, before what came of them is
measured; rows are in order of what they took.

The file of `--json` is written after every cell, and `--resume` goes on from there. What stands in it is also enough
for `--figure` alone: with `--resume` and no cell left to do it only draws.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import nan
from pathlib import Path
from typing import Any

import torch
from common import above_zero, at_least, finish, kept, report, say
from frontier_figure import Point, draw, efficient, points
from frontier_settings import KEPT, choose
from served import serve_all
from tqdm import tqdm

from recsys.commands.build import build_model, load_split
from recsys.commands.options import THRESHOLD, Setup
from recsys.data import Split, ratio, synthetic
from recsys.problem import RecommenderProblem
from recsys.requests import drawn
from recsys.scorer import RankingScorer
from unlearn.audit import Comparison, compare
from unlearn.forget import UnknownIds
from unlearn.memory import keep_freed_memory
from unlearn.specification import read, typed, unlearner, unlearners

REQUESTS = ("random:0.05", "users:20")
FULL_REQUESTS = ("random:0.01", "random:0.05", "users:20", "popular-items:5", "corrupted:0.05")
FULL_DATA = ("lastfm", "ml-100k", "yelp2")
OBJECTIVE, FULL_MODELS, QUICK_MODELS = "whole_data", ("lightgcn", "mf"), ("lightgcn:dim=16",)
# Gap, distance of the forget AUC from the retrain's, speed-up: where training converges, and where it samples.
BARS = {False: (0.15, 0.01, 10.0), True: (0.6, 0.01, 5.0)}
TUNED_ON = 2  # of the kinds of request
_KEPT_SCORES = 500  # of either kind, a method and a seed: enough to score the forget AUC again to about .002


@dataclass(frozen=True)
class Block:
    """What is trained: a model and an objective on a data set."""

    path: Path | None  # None: synthetic
    model: str
    objective: str
    format: str | None = None
    threshold: float = THRESHOLD
    duplicates: str = "raise"

    @property
    def key(self) -> dict[str, str]:
        dataset = "synthetic" if self.path is None else self.path.stem
        return {"dataset": dataset, "model": self.model, "objective": self.objective}

    def cell(self, request: str) -> dict[str, str]:
        return self.key | {"request": "user" if request.startswith("user:") else request}  # no id in a file of figures

    def setup(self) -> Setup:
        """As `unlearn evaluate` has it: in bpr,epochs=60 options of training follow; closed forms take none."""
        objective, *options = self.objective.split(",")
        _, given = read(":".join([objective.partition(":")[0], *options]))
        setup = Setup(
            data=self.path,
            format=self.format,
            threshold=self.threshold,
            duplicates=self.duplicates,
            model=self.model,
            objective=None if objective == "none" else objective,
        )
        return replace(setup, **typed(objective, Setup, given))

    def split(self) -> Split:
        return ratio(synthetic(200, 120, 4_000, seed=0)) if self.path is None else load_split(self.setup(), 0)


def main() -> None:
    options = arguments()
    blocks = chosen_blocks(options)
    splits = readable(blocks, options.methods, requests_of(options))
    settings = {"seeds": list(range(options.seeds)), "limit": options.limit, "tune": options.tune}
    settings |= {"format": options.format, "threshold": options.threshold, "duplicates": options.duplicates}
    head = report(options, "frontier", splits[blocks[0]], settings | {"methods": options.methods})
    del head["data"]  # every cell has the digests of its own
    result: dict[str, Any] = {**head, "seeds": settings["seeds"]}
    for rows in ("tuning", "cells"):
        result[rows] = kept(options, head, rows) if options.resume else []
    wanted = [(block, request) for block in blocks for request in requests_of(options)]
    done = [key_of(cell) for cell in result["cells"]]
    left = [(block, request) for block, request in wanted if key_of(block.cell(request)) not in done]
    if options.resume:
        say(f"{len(wanted) - len(left)} of {len(wanted)} cells are there already")
    for block, request in tqdm(left, desc="cells", disable=None):
        methods = [*every(options.methods), *tuned(options, result, block, splits[block])]
        result["cells"].append(cell(options, block, splits[block], request, methods))
        finish(options, result)
    if options.figure is not None:
        keys = [key_of(block.cell(request)) for block, request in wanted]
        shown = [one for one in result["cells"] if key_of(one) in keys and one["methods"] and points(one)]
        if shown:
            draw(shown, options.figure)
        else:
            say("no method has a gap in any cell: nothing to draw")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    named = os.environ.get("UNLEARN_DATA")
    add("--data", type=Path, default=named, help="a data set, or the folder of several (lastfm first) [UNLEARN_DATA]")
    add("--format", help="format of the data, where content does not tell")
    add("--threshold", type=float, default=THRESHOLD, help=f"ratings of at least this count [{THRESHOLD:g}]")
    add("--duplicates", default="raise", help="first, last or sum, where a user and item occur together twice [raise]")
    add("--json", type=Path, metavar="OUT", help="write every figure to this file, after every cell")
    add("--resume", action="store_true", help="keep the cells that the file of --json already has")
    add("--figure", type=Path, metavar="OUT", help="draw the frontier into this file (.png, .svg, .pdf)")
    add("--quick", action="store_true", help="seconds on small synthetic data: that it runs, no figures")
    add("--full", action="store_true", help="several data sets, models and kinds of request; hours")
    add("--model", nargs="+", help="models as `unlearn evaluate` takes them [lightgcn; --full: lightgcn mf]")
    add("--objective", nargs="+", default=[OBJECTIVE], help=f"objectives, as in bpr,epochs=60; or none [{OBJECTIVE}]")
    add("--delete", nargs="+", help=f"kinds of request [{' '.join(REQUESTS)}; --full: {' '.join(FULL_REQUESTS)}]")
    add("--methods", default="all", help="methods with commas between, by name or as in iau:lr=0.02:steps=3 [all]")
    add("--tune", action=argparse.BooleanOptionalAction, default=True, help="add settings chosen on validation")
    add("--limit", type=above_zero(), default=120.0, help="seconds for a method to prepare and serve [120]")
    add("--seeds", type=at_least(1), help="how many [3; --quick: 1]")
    options = parser.parse_args()
    options.seeds = options.seeds or (1 if options.quick else 3)
    if not options.quick and (options.data is None or not options.data.exists()):
        came = "none" if options.data is None else f"`{options.data}`"
        parser.error(f"`--data` must be a data set or a folder of several (got {came}); set UNLEARN_DATA, or --quick")
    keep_freed_memory()
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))  # training would take a KeyboardInterrupt for its end
    return options


def chosen_blocks(options: argparse.Namespace) -> list[Block]:
    paths: list[Path | None] = [None]
    models = FULL_MODELS if options.full else FULL_MODELS[:1]
    if options.quick:
        models = QUICK_MODELS
    elif options.full:
        paths = [options.data / name for name in FULL_DATA]
    else:
        first: Path = options.data / FULL_DATA[0]
        paths = [first if first.is_dir() else options.data]
    chosen: Sequence[str] = options.model or models
    reading = (options.format, options.threshold, options.duplicates)
    return [
        Block(path, model, objective, *reading) for path in paths for model in chosen for objective in options.objective
    ]


def requests_of(options: argparse.Namespace) -> Sequence[str]:
    return options.delete or (FULL_REQUESTS if options.full else REQUESTS)


def readable(blocks: Sequence[Block], methods: str, requests: Sequence[str]) -> dict[Block, Split]:
    """The data of every block; what cannot be read or built, and who is not there, end the program before any work."""
    splits: dict[Block, Split] = {}
    try:
        unlearners(methods)
        for block in blocks:
            same = next((split for other, split in splits.items() if other.path == block.path), None)
            splits[block] = same or block.split()
            build_model(block.setup(), splits[block].train, seed=0, progress=False)
            for request in requests:
                if request.startswith("user:"):
                    drawn(request, splits[block], seed=0)
    except (OSError, ValueError, UnknownIds) as error:
        raise SystemExit(str(error)) from error
    return splits


def every(methods: str) -> list[str]:
    """The methods as they are typed, `all` spelt out."""
    everything = [one.name for one in unlearners("all")]
    typed_in = [name.strip() for name in methods.split(",") if name.strip()]
    return list(dict.fromkeys(one for name in typed_in for one in (everything if name == "all" else [name])))


def tuned(options: argparse.Namespace, result: dict[str, Any], block: Block, split: Split) -> list[str]:
    """Settings beside the defaults, once for every block; kept in `result` with all that was tried."""
    if not options.tune or not len(split.validation):
        return []
    tuning: list[dict[str, Any]] = result["tuning"]
    for row in tuning:
        if row.items() >= block.key.items():
            return row["chosen"]
    requests = requests_of(options)[:TUNED_ON]
    bar = BARS[samples(block, split)][0]
    chosen, tried = choose(block.setup(), split, requests, every(options.methods), bar=bar, limit=options.limit)
    say(f"chosen on validation: {', '.join(chosen) or 'none'}")
    own = {"requests": list(requests), "chosen": chosen, "tried": [asdict(one) for one in tried]}
    tuning.append(block.key | own)
    finish(options, result)
    return chosen


def cell(
    options: argparse.Namespace, block: Block, split: Split, request: str, methods: Sequence[str]
) -> dict[str, Any]:
    """All methods on one kind of request, over the seeds."""
    key = block.cell(request)
    try:
        comparison = measured(options, block, split, request, methods)
    except ValueError as error:
        say(f"{', '.join(key.values())}: {error}")
        return key | {"methods": [], "reason": str(error)}
    content = json.loads(comparison.to_json())
    for row in content["raw"]["measurements"]:
        row["raw"] |= {side: thinned(row["raw"][side]) for side in ("positive", "negative")}
    bars: dict[str, float] = dict(zip(("gap", "forget_auc", "speedup"), BARS[samples(block, split)], strict=True))
    found = sorted(points(content), key=lambda point: point.gap)
    best = [point.name for point in efficient(found)]
    meeting = [point.name for point in found if meets(point, bars)]
    for point in found:
        say(f"{'*' if point.name in best else ' '} {point}")
    for name, reason in comparison.absent.items():
        say(f"  no {name}: {reason}")
    for reason in comparison.reasons.values():
        say(f"  {reason}")
    say(f"{', '.join(key.values())}: {bars} met by {', '.join(meeting) or 'none'}")
    return key | content | {"efficient": best, "bars": bars, "meeting": meeting}


def measured(
    options: argparse.Namespace, block: Block, split: Split, request: str, methods: Sequence[str]
) -> Comparison:
    """The comparison of all seeds; a method that did not end under one of them has no figures."""
    parts: list[Comparison] = []
    reasons: dict[str, str] = {}
    for seed in range(options.seeds):
        data, forget = drawn(request, split, seed=seed)
        model = build_model(block.setup(), data, seed=seed, progress=False, keep=KEPT).fit()
        asked = [(label, unlearner(label)) for label in methods if label not in reasons]
        served = serve_all(asked, model, forget, limit=options.limit)
        reasons |= {one.label: one.reason for one in served if one.reason is not None}
        parts.append(compare(model, forget, served, RankingScorer(split.test), seed=seed))
    joined = Comparison.join(parts)
    kept_rows = tuple(one for one in joined.measurements if one.method not in reasons)
    return replace(joined, measurements=kept_rows, reasons=reasons)


def samples(block: Block, split: Split) -> bool:
    model = build_model(block.setup(), split.train, seed=0, progress=False)
    return isinstance(model, RecommenderProblem) and model.stochastic


def meets(point: Point, bars: dict[str, float]) -> bool:
    near = point.gap <= bars["gap"] and (nan if point.difference is None else point.difference) <= bars["forget_auc"]
    return near and (point.speedup or 0.0) >= bars["speedup"]


def thinned(scores: list[float]) -> list[float]:
    """An even choice of ascending scores."""
    if len(scores) <= _KEPT_SCORES:
        return scores
    return [scores[round(place)] for place in torch.linspace(0, len(scores) - 1, _KEPT_SCORES).tolist()]


def key_of(cell: dict[str, Any]) -> tuple[str, ...]:
    return tuple(cell[name] for name in ("dataset", "model", "objective", "request"))


if __name__ == "__main__":
    main()
