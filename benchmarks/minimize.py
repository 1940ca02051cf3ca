"""How much of a rumour each method contains, by one referee, and the seconds that its choice takes.

    python -m benchmarks.minimize --graph FILE --instances FILE --budgets 3,5,10 --json OUT

Instances are a JSON file with `seed_sets`, lists of ids of the graph, or random (`--draw 20x10`: 20 sets of 10). A row
of the result is a method and a budget: `reduced_ratio`, the share of the spread beyond the seeds that is gone, mean
over instances; `stderr`, its standard error over instances, the referee's noise included; `referee_stderr`, of the
referee's noise alone; `seconds` of processor time in one thread for one choice, the median over instances; and what was
`removed` for each instance, so that another referee can judge it. The referee tosses coins that no method has seen, the
same with and without a choice. `random` shows what is noise. DiffIM by trying each arc and DiffIM+ take hours, so they
run only where `--methods` names them.

With `--prove`, `bounds` lists for each budget the reduced ratio that no choice of as many arcs goes beyond, whichever
it is: in expectation, with the standard error over batches of sampled worlds; and by how much the best choice of each
instance may fall short of it, in the same worlds.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any

import numpy as np
import torch
from common import finish, machine, say
from instances import add_instances, check, label, parsed, read_budgets, read_instances
from numba.core import config
from numpy.typing import NDArray
from tqdm import tqdm

from graph_influence.commands.specified import minimizer_of
from graph_influence.graph import SocialGraph
from graph_influence.minimize import Minimizer, Outbreak, Referee, minimizer, minimizers, optimality
from graph_influence.surrogate import SupercriticalWarning

METHODS = (
    "with commas between, with arguments as in ris:eps=0.2 or diffim_plus_plus:surrogate=[gcn:path=FILE] "
    "[all quick ones]"
)
SLOW = {"diffim", "diffim_plus"}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instances(parser)
    parser.add_argument("--unit", choices=("arcs", "nodes"), default="arcs", help="what is taken away [arcs]")
    parser.add_argument("--model", choices=("ic", "lt"), default="ic", help="of diffusion [ic]")
    parser.add_argument("--methods", help=METHODS)
    parser.add_argument("--prove", action="store_true", help="also bound what any choice could do")
    return parsed(parser)


def main() -> None:
    given = options()
    torch.set_num_threads(1)
    config.NUMBA_NUM_THREADS = 1  # pyright: ignore[reportAttributeAccessIssue]
    warnings.simplefilter("ignore", SupercriticalWarning)
    try:
        graph, sets, methods = prepared(given)
        budgets = read_budgets(given)
        check(methods.values(), graph, sets, budgets)
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(str(error)) from error
    settings = {name: getattr(given, name) for name in ("scheme", "unit", "model", "runs", "seed", "quick")}
    result: dict[str, Any] = {"benchmark": "minimize", "machine": machine(), "settings": settings}
    result["graph"] = {"nodes": graph.num_alive, "arcs": int(graph.alive.sum())}
    result["spread"], result["rows"], result["bounds"] = [], [], []
    found: dict[tuple[str, int], list[dict[str, Any]]] = {(name, b): [] for name in methods for b in budgets}
    proven: dict[int, list[dict[str, Any]]] = {b: [] for b in budgets if given.prove}
    for rows in tqdm(sets, desc="instances", disable=None):
        outbreak = Outbreak(graph, rows, given.unit, given.model)
        referee = Referee(outbreak, runs=given.runs, seed=given.seed + 1)
        result["spread"].append(referee.judge([]).before.mean)
        for (name, budget), instances in found.items():
            instances.append(judged(methods[name], outbreak, budget, referee))
        for budget, bounds in proven.items():
            best = max((found[name, budget][-1] for name in methods), key=lambda one: one["reduced_ratio"])
            bounds.append(bounded(outbreak, best["chosen"], given.seed, result["spread"][-1]))
        result["bounds"] = [bound_summary(budget, bounds) for budget, bounds in proven.items()]
        result["rows"] = [summary(name, budget, instances) for (name, budget), instances in found.items()]
        finish(given, result)
    for budget in budgets:
        table(budget, *([row for row in result[key] if row["budget"] == budget] for key in ("rows", "bounds")))


def prepared(given: argparse.Namespace) -> tuple[SocialGraph, list[NDArray[np.int64]], dict[str, Minimizer]]:
    """The graph, seed sets by row, and methods by what was typed for them."""
    graph, sets = read_instances(given)
    quick = [name for name in minimizers() if name not in SLOW and given.unit in minimizer(name).units]
    typed = given.methods.split(",") if given.methods else quick
    shared = {"unit": given.unit, "model": given.model, "seed": given.seed}
    return graph, sets, {label(one): minimizer_of(one, **shared) for one in typed}


def judged(method: Minimizer, outbreak: Outbreak, budget: int, referee: Referee) -> dict[str, Any]:
    graph, began = outbreak.graph, time.process_time()
    chosen = method.choose(outbreak, budget)
    seconds = time.process_time() - began
    verdict = referee.judge(chosen)
    ends = (graph.source[chosen], graph.target[chosen]) if outbreak.unit == "arcs" else (np.array(chosen),)
    removed = list(zip(*(graph.nodes.take(rows) for rows in ends), strict=True))
    return {
        "reduced_ratio": verdict.reduced_ratio,
        "referee_stderr": verdict.standard_error,
        "seconds": seconds,
        "chosen": chosen,
        "removed": [list(one) if len(one) == 2 else one[0] for one in removed],
    }


def bounded(outbreak: Outbreak, chosen: list[int], seed: int, spread: float) -> dict[str, Any]:
    """Whatever is chosen in place of `chosen`: the ratio that is not exceeded, and by how much it may be better."""
    began = time.process_time()
    found = optimality(outbreak, chosen, seed=seed)
    seconds, beyond = time.process_time() - began, max(spread - len(outbreak.seeds), 1e-12)
    at_most, gap = found.reduced_ratio_at_most, found.gap
    return {
        "at_most": at_most.mean,
        "at_most_stderr": at_most.standard_error,
        "gap": gap.mean / beyond,
        "gap_stderr": gap.standard_error / beyond,
        "seconds": seconds,
    }


def bound_summary(budget: int, instances: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over instances, whose worlds are independent."""
    row: dict[str, Any] = {"budget": budget, "by_instance": [one["at_most"] for one in instances]}
    for key in ("at_most", "gap"):
        row[key] = statistics.mean(one[key] for one in instances)
        row[f"{key}_stderr"] = float(np.linalg.norm([one[f"{key}_stderr"] for one in instances]) / len(instances))
    return row | {"seconds": statistics.median(one["seconds"] for one in instances)}


def summary(name: str, budget: int, instances: list[dict[str, Any]]) -> dict[str, Any]:
    ratios, errors = ([one[key] for one in instances] for key in ("reduced_ratio", "referee_stderr"))
    return {
        "method": name,
        "budget": budget,
        "reduced_ratio": statistics.mean(ratios),
        "stderr": float(np.std(ratios, ddof=1) / len(ratios) ** 0.5) if len(ratios) > 1 else None,
        "referee_stderr": float(np.linalg.norm(errors) / len(errors)),
        "seconds": statistics.median(one["seconds"] for one in instances),
        "mean_seconds": statistics.mean(one["seconds"] for one in instances),
        "removed": [one["removed"] for one in instances],
        "by_instance": ratios,
    }


def table(budget: int, rows: list[dict[str, Any]], bounds: list[dict[str, Any]]) -> None:
    say(f"budget {budget}: reduced ratio, its standard error by the referee, seconds of a choice (median, mean)")
    for row in sorted(rows, key=lambda row: -row["reduced_ratio"]):
        times = f"{row['seconds']:8.3f} {row['mean_seconds']:8.3f}"
        say(f"  {row['method']:24} {row['reduced_ratio']:.4f} ± {row['referee_stderr']:.4f} {times}")
    for row in bounds:
        say(f"  {'any choice, at most':24} {row['at_most']:.4f} ± {row['at_most_stderr']:.4f} {row['seconds']:8.3f}")
        say(f"  {'over the best of each':24} {row['gap']:.4f} ± {row['gap_stderr']:.4f}")
    single = max((row["reduced_ratio"] for row in rows if row["method"] != "auto"), default=None)
    for row in rows:
        if row["method"] == "auto" and single:
            say(f"  auto over the best single method: {row['reduced_ratio'] / single:.4f} (bar 0.98)")


if __name__ == "__main__":
    main()
