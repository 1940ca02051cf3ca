"""How long a pool of models takes: random halves of LastFM under the default LightGCN, trained in parallel processes.

Train and validation are halved anew for each pair of models, by single interactions or by users. Every model is
trained cold, to the tolerance of a `unlearn train`, on one thread. Then the pool is asked to fill itself again, which
trains nothing, and what every model says about every interaction is read off: memorisation after Feldman and Zhang.
Processor time is that of this process and of all its workers. Bar: 64 models in under 15 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import add_dataset, arguments, at_least, finish, load, report, say, verdict
from joblib.externals.loky import get_reusable_executor

from recsys.commands.build import build_model
from recsys.commands.options import Setup
from recsys.problem import RecommenderProblem
from unlearn.audit.memorisation import memorisation
from unlearn.audit.pool import ModelPool, Plan
from unlearn.problem import Problem

BAR_SECONDS, BAR_MODELS, BAR_CORES = 900.0, 64, 2


def own(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    parser.add_argument("--models", type=at_least(2), default=BAR_MODELS, help=f"models in the pool [{BAR_MODELS}]")
    parser.add_argument("--unit", choices=("interaction", "user"), default="interaction", help="what is halved")
    parser.add_argument("--dim", type=at_least(1), help="columns of the embeddings [the default of `unlearn train`]")
    parser.add_argument("--jobs", type=at_least(1), default=BAR_CORES, help=f"worker processes [{BAR_CORES}]")
    parser.add_argument("--folder", type=Path, help="keep the models there, and go on from those that are [none]")


def main() -> None:
    options = arguments(__doc__, own)
    if options.quick:
        options.models, options.dim = min(options.models, 4), 8
    split = load(options, options.dataset, options.split)
    problem = build_model(Setup(dim=str(options.dim)), split.refit(), seed=0, progress=False)
    assert isinstance(problem, RecommenderProblem)
    settings = {
        "models": options.models,
        "unit": options.unit,
        "jobs": options.jobs,
        **problem.model.arguments(),
        **problem.objective_function.arguments(),
        "tolerance": problem.options.tolerance,
    }
    result = report(options, "pool", split, settings)
    with tempfile.TemporaryDirectory() as scratch:
        result |= measure(problem, options, options.folder or Path(scratch))
    finish(options, result)


def measure(problem: RecommenderProblem, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    units = problem.units(options.unit)
    plan = Plan.halves(len(units), options.models, seed=0, unit=options.unit, keys=units.keys)
    pool = ModelPool(problem, plan, folder, jobs=options.jobs)
    before = processor_seconds()
    estimate, first = timed(pool.estimate)
    say(str(estimate))
    _, fill = timed(pool.fill)
    _, again = timed(pool.fill)
    records = torch.stack([problem.graph.rows, problem.graph.cols], dim=1)
    owners = torch.from_numpy(units.owners)
    signals, asking = timed(lambda: pool.signals(score_of(records), units=owners))
    found = memorisation(signals)
    get_reusable_executor().shutdown(wait=True)  # whose time counts as ours once they have ended
    processor = processor_seconds() - before
    enough = len(plan) >= BAR_MODELS and options.jobs <= BAR_CORES
    met = first + fill < BAR_SECONDS
    say(
        f"{len(plan)} models in {(first + fill) / 60:.1f} min, {processor / 60:.1f} min of processor time in all; "
        f"filled again in {again:.0f} s, asked in {asking:.0f} s"
        + (f": {verdict(met)} under {BAR_SECONDS / 60:.0f} min" if enough else "")
    )
    say(
        f"memorisation of interactions: mean {found.value.mean():.3f}, median standard error "
        f"{found.standard_error.median():.3f}, 99th percentile {found.value.quantile(0.99):.3f}"
    )
    return {
        "estimate": asdict(estimate),
        "seconds": {"first": first, "fill": fill, "filled_again": again, "signals": asking, "processor": processor},
        "disk_bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "memorisation": {
            "mean": float(found.value.mean()),
            "quantiles": {str(q): float(found.value.quantile(q)) for q in (0.01, 0.5, 0.99)},
            "median_standard_error": float(found.standard_error.median()),
        },
        "bar": {"seconds": BAR_SECONDS, "models": BAR_MODELS, "met": met if enough else None},
    }


def score_of(records: torch.Tensor) -> Callable[[Problem], torch.Tensor]:
    return lambda model: model.outputs(records)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return float(np.sum([one.ru_utime + one.ru_stime for one in used]))


if __name__ == "__main__":
    main()
