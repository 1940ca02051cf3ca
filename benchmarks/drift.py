"""A hundred requests one after another, by every method: what each leaves of them, and whether that piles up.

Each request is served on what the one before it left. After the first, the middle and the last the model is compared
with two retrains without everybody so far, in units of its distance from the model before the first; both retrains are
shared by all methods. `due` is the request after which the rule of `unlearn.audit` first asks for a retrain, which is
noted and not done. `graph_drop` comes first, as the baseline. A method has `--limit` seconds for all requests and for
being compared; one that serves with a model of its own pays for that model's retrains in them.

The file of `--json` is written after every method and seed, and `--resume` goes on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common import above_zero, add_dataset, arguments, at_least, finish, kept, report, say
from served import OutOfTime, deadline
from tqdm import tqdm

from recsys.commands.build import build_model, kept_for, load_split
from recsys.commands.options import Setup
from recsys.data import Split, ratio, synthetic
from recsys.requests import drawn
from recsys.scorer import RankingScorer
from unlearn.audit import Stream, Yardstick, stream
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.methods import Unlearner, method
from unlearn.specification import labels, unlearners

REQUESTS, QUICK_REQUESTS = "one-user:100", "one-user:4"


@dataclass(frozen=True, eq=False)
class Course:
    """The requests of one seed, the model that they begin with, and what it is measured against."""

    model: Any
    requests: Sequence[ForgetSet]
    yardstick: Yardstick
    baseline: Stream

    @classmethod
    def drawn(cls, setup: Setup, split: Split, delete: str, seed: int, methods: Sequence[Unlearner]) -> Course:
        """By the seed; training keeps what the methods require."""
        data, requests = drawn(delete, split, seed=seed)
        model = build_model(setup, data, seed=seed, progress=False, keep=kept_for(methods)).fit()
        yardstick = Yardstick(RankingScorer(split.test), seed=seed)
        return cls(model, requests, yardstick, served(model, requests, method("graph_drop"), yardstick))

    def row(self, label: str, method: Unlearner, limit: float) -> dict[str, Any]:
        """How the method fared, or the reason why there is nothing to say."""
        key = {"method": label, "seed": self.yardstick.seed}
        if method.name == "graph_drop":
            return self.baseline.content() | key
        if (obstacle := method.obstacle(self.model)) is not None:
            return key | {"reason": obstacle}
        try:
            with deadline(limit):
                return served(self.model, self.requests, method, self.yardstick).content() | key
        except OutOfTime:
            return key | {"reason": f"`{label}` was stopped after {limit:g} s"}
        except Exception as error:  # hours of the others' figures must not be lost with one method
            return key | {"reason": f"`{label}` failed: {type(error).__name__}: {error}"}


def served(model: Any, requests: Sequence[ForgetSet], method: Unlearner, yardstick: Yardstick) -> Stream:
    last = len(requests)
    return stream(model, requests, method, yardstick, measure={1, (last + 1) // 2, last})


def main() -> None:
    def own(parser: argparse.ArgumentParser) -> None:
        add_dataset(parser)
        parser.add_argument("--model", default="lightgcn", help="as in `unlearn evaluate` [lightgcn]")
        parser.add_argument("--objective", default="whole_data", help="what the model is trained for [whole_data]")
        parser.add_argument("--delete", help=f"the requests [{REQUESTS}]")
        parser.add_argument("--methods", default="all", help="with commas between, by name or with arguments [all]")
        parser.add_argument("--limit", type=above_zero(), default=600.0, help="seconds for a method and seed [600]")
        parser.add_argument("--seeds", type=at_least(1), default=1, help="how many [1]")
        parser.add_argument("--resume", action="store_true", help="keep what the file of --json already has")

    options = arguments(__doc__, own)
    options.delete = options.delete or (QUICK_REQUESTS if options.quick else REQUESTS)
    if options.quick:
        options.model = "lightgcn:dim=16"
    path: Path | None = None if options.quick else options.data / options.dataset
    setup = Setup(data=path, split=options.split, model=options.model, objective=options.objective)
    try:
        asked = unlearners(options.methods)
        split = ratio(synthetic(200, 120, 4_000, seed=0)) if path is None else load_split(setup, 0)
        drawn(options.delete, split, seed=0)
    except (OSError, ValueError, UnknownIds) as error:
        raise SystemExit(str(error)) from error
    methods = [method("graph_drop"), *(one for one in asked if one.name != "graph_drop")]
    settings = {name: getattr(options, name) for name in ("model", "objective", "delete", "limit")}
    head = report(options, "drift", split, settings)
    rows = kept(options, head, "rows") if options.resume else []
    done = {(row["method"], row["seed"]) for row in rows}
    result = head | {"rows": rows}
    for seed in range(options.seeds):
        left = [pair for pair in zip(labels(methods), methods, strict=True) if (pair[0], seed) not in done]
        course = Course.drawn(setup, split, options.delete, seed, methods) if left else None
        for label, unlearner in tqdm(left, desc="methods", disable=None):
            assert course is not None
            rows.append(course.row(label, unlearner, options.limit))
            say(told(rows[-1]))
            finish(options, result)


def told(row: Mapping[str, Any]) -> str:
    if "reason" in row:
        return f"no {row['method']}: {row['reason']}"
    steps = row["steps"]
    measured = [step for step in steps if step["values"] is not None]
    gaps = " / ".join(f"{step['values']['retrain_gap']:.3f}" for step in measured)
    values = measured[-1]["values"]
    due = next((step["number"] for step in steps if step["due"] is not None), "never")
    residuals = " / ".join(
        "-" if step["residual_after"] is None else f"{step['residual_after']:.3g}" for step in measured
    )
    return (
        f"{row['method']}, seed {row['seed']}: gap {gaps}; forget AUC {values['forget_auc']:.3f} "
        f"({values['retrain_auc']:.3f}); NDCG@20 {values['ndcg_at_20']:.3f}; residual {residuals}; "
        f"{median(step['seconds'] for step in steps):.3g} s; due {due}"
    )


if __name__ == "__main__":
    main()
