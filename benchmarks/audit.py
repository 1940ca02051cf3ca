"""What attacks find after unlearning 5 % of all interactions: the order of methods, with intervals.

A pool of models over random halves (LightGCN, `whole_data`), each of which unlearns its part of the request by every
method; U-LiRA and RMIA tell models that unlearned an interaction from models that never had it. Known: no_op is the
easiest to attack, dropping edges helps less than re-converging, and a re-converged model is about as hard to attack as
a retrain, at the accuracy that the service asks for more so than at the method's default. `excess`: the figure less
what the same attack reads when models exchange who had what; 95 % intervals by the same exchange. Bar, of the default:
no_op > graph_drop > reconverge in both, and the retrain's floor inside the interval of reconverge.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import add_dataset, arguments, at_least, finish, load, report, say, verdict

from recsys.commands.build import build_model
from recsys.commands.options import Setup
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import RankingScorer
from unlearn.audit.attacks import RMIA, KLoM, Metric, Swap, ULiRA
from unlearn.audit.auditing import CONTROL, audit
from unlearn.audit.inquiry import Inquiry
from unlearn.specification import unlearner

METHODS = (CONTROL, "graph_drop", "reconverge", "reconverge:accuracy=0.05", "retrain")
ORDERED = ("u_lira_auc", "rmia_auc")


def own(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    parser.add_argument("--models", type=at_least(8), default=32, help="models in the pool, a multiple of four [32]")
    parser.add_argument("--dim", type=at_least(1), default=64, help="columns of the embeddings [64]")
    parser.add_argument("--examples", type=at_least(10), default=500, help="examples of each kind [500]")
    parser.add_argument("--share", type=float, default=0.05, help="share of interactions to delete [.05]")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="worker processes [1]")
    parser.add_argument("--folder", type=Path, help="keep the models there, and go on from those that are [none]")


def main() -> None:
    options = arguments(__doc__, own)
    if options.quick:
        options.models, options.dim, options.examples = min(options.models, 12), 8, 40
    split = load(options, options.dataset, options.split)
    data = split.refit()
    problem = build_model(Setup(dim=str(options.dim)), data, seed=0, progress=False)
    assert isinstance(problem, RecommenderProblem)
    (forget,) = requests(f"random:{options.share}", data, seed=0)
    settings = problem.model.arguments() | {
        name: getattr(options, name) for name in ("models", "dim", "examples", "share")
    }
    result = report(options, "audit", split, settings)
    with tempfile.TemporaryDirectory() as scratch:
        inquiry = Inquiry(
            problem=problem,
            forget=forget,
            examples=RankingScorer(split.test).examples(problem, forget, seed=0, most=options.examples),
            folder=options.folder or Path(scratch),
            models=options.models,
            jobs=options.jobs,
            steps=0,
        )
        evidence = {name: [inquiry.of(unlearner(name))] for name in METHODS}
    metrics: list[Metric] = [ULiRA(), RMIA(), KLoM(), Swap()]
    found = audit(evidence, metrics)
    finish(options, result | measured(found.content()["findings"]) | {"reasons": found.reasons})


def measured(findings: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The table, and whether the order holds."""
    table = {name: {one["metric"]: one for one in rows} for name, rows in findings.items()}
    for metric in table[CONTROL]:
        for name, rows in table.items():
            one = rows[metric]
            value, floor = one["value"], one["null_floor"]
            if value is not None:
                ends = " to ".join("-" if one[end] is None else f"{one[end]:.3f}" for end in ("low", "high"))
                say(f"{metric:28} {name:24} {value:.3f} ({ends}), null {floor:.3f}: {one['verdict']}")
    orders: dict[str, bool] = {}
    for metric in ORDERED:
        excess = {name: abs(rows[metric]["value"] - rows[metric]["null_floor"]) for name, rows in table.items()}
        near = table["reconverge"][metric]
        orders[metric] = (
            excess[CONTROL] > excess["graph_drop"] > excess["reconverge"]
            and near["low"] <= near["null_floor"] <= near["high"]
        )
        say(f"{metric}: {verdict(orders[metric])} the known order")
    return {"findings": table, "bar": orders}


if __name__ == "__main__":
    main()
