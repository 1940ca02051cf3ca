"""How near surrogates come to simulation, in value and in what they would remove, and the seconds that they take.

    python -m benchmarks.surrogates --graph FILE --instances FILE --surrogates non_backtracking,gcn:path=FILE --json OUT

Instances are as in `benchmarks.minimize`. A row of the result is a surrogate. Of the spread of each instance, against
the referee's simulation: `error`, the mean of the relative error, `signed`, that of its signed value, `correlation`
over instances; `node_error`, the mean absolute error of a node's probability. Of arcs removed by DiffIM++ on it:
`reduced_ratio` by budget and `referee_stderr`, its standard error. `seconds` are of processor time in one thread, the
median over instances: `spread` of one spread, `gradient` of one with its gradient in every arc. The row `simulation`
is 1,000 cascades with other coins: what the values cost without a surrogate, and how noisy they then are.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import finish, machine, say
from instances import add_instances, check, label, parsed, read_budgets, read_instances
from numba.core import config
from numpy.typing import NDArray
from tqdm import tqdm

from graph_influence.commands.specified import trained_surrogate_of
from graph_influence.diffusion import diffusion
from graph_influence.graph import SocialGraph
from graph_influence.minimize import DiffIMPlusPlus, Outbreak, Referee
from graph_influence.surrogate import SupercriticalWarning, Surrogate, TensorGraph

DEFAULT = "non_backtracking,non_backtracking:rounds=30,mean_field"
SIMULATION, CASCADES = "simulation", 1_000


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instances(parser)
    parser.add_argument("--surrogates", default=DEFAULT, help=f"with commas between [{DEFAULT}]")
    return parsed(parser)


def main() -> None:
    given = options()
    torch.set_num_threads(1)
    config.NUMBA_NUM_THREADS = 1  # pyright: ignore[reportAttributeAccessIssue]
    warnings.simplefilter("ignore", SupercriticalWarning)
    try:
        graph, sets = read_instances(given)
        asked = {label(one): trained_surrogate_of(one) for one in given.surrogates.split(",")}
        budgets = read_budgets(given)
        check([DiffIMPlusPlus(surrogate=one) for one in asked.values()], graph, sets, budgets)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    settings = {name: getattr(given, name) for name in ("scheme", "runs", "seed", "quick")}
    result: dict[str, Any] = {"benchmark": "surrogates", "machine": machine(), "settings": settings}
    result["graph"] = {"nodes": graph.num_alive, "arcs": int(graph.alive.sum())}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*asked, SIMULATION)}
    for rows in tqdm(sets, desc="instances", disable=None):
        truth = diffusion("ic", graph, runs=given.runs, seed=given.seed + 1).simulate_rows(rows).activation_probability
        found[SIMULATION].append(compared(simulated(graph, rows, given.seed + 2), truth))
        referee = Referee(Outbreak(graph, rows), runs=given.runs, seed=given.seed + 1)
        for name, surrogate in asked.items():
            found[name].append(compared(answered(surrogate, graph, rows), truth) | decided(surrogate, referee, budgets))
        result["rows"] = [summary(name, instances, budgets) for name, instances in found.items()]
        finish(given, result)
    for row in result["rows"]:
        ratios = " ".join(f"{value:.4f}" for value in row.get("reduced_ratio", {}).values())
        seconds = " ".join(f"{value:.4f}" for value in row["seconds"].values())
        say(
            f"{row['surrogate']:32} error {row['error']:7.2%} signed {row['signed']:+7.2%} node {row['node_error']:.5f}"
        )
        say(f"{'':32} seconds {seconds} reduced ratio {ratios}")


def simulated(graph: SocialGraph, rows: NDArray[np.int64], seed: int) -> tuple[NDArray[np.float64], dict[str, float]]:
    model = diffusion("ic", graph, runs=CASCADES, seed=seed)
    probability, seconds = timed(lambda: model.simulate_rows(rows).activation_probability)
    return probability, {"spread": seconds}


def answered(
    surrogate: Surrogate, graph: SocialGraph, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], dict[str, float]]:
    tensors = TensorGraph.of(graph)
    seeds, p = tensors.seeds(rows), tensors.probability.clone().requires_grad_()
    with torch.no_grad():
        probability, seconds = timed(lambda: surrogate(tensors, seeds)[0].numpy())
    _, gradient = timed(lambda: torch.autograd.grad(surrogate.spread(tensors, seeds, p).sum(), p))
    return probability, {"spread": seconds, "gradient": gradient}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def compared(answer: tuple[NDArray[np.float64], dict[str, float]], truth: NDArray[np.float64]) -> dict[str, Any]:
    probability, seconds = answer
    return {
        "spread": float(probability.sum()),
        "simulated": float(truth.sum()),
        "node_error": float(np.abs(probability - truth).mean()),
        "seconds": seconds,
    }


def decided(surrogate: Surrogate, referee: Referee, budgets: list[int]) -> dict[str, Any]:
    # Greedy: what a smaller budget removes is how a larger one begins.
    chosen = DiffIMPlusPlus(surrogate=surrogate).choose(referee.outbreak, max(budgets))
    verdicts = {str(budget): referee.judge(chosen[:budget]) for budget in budgets}
    return {
        "reduced_ratio": {budget: verdict.reduced_ratio for budget, verdict in verdicts.items()},
        "referee_stderr": {budget: verdict.standard_error for budget, verdict in verdicts.items()},
    }


def summary(name: str, found: list[dict[str, Any]], budgets: list[int]) -> dict[str, Any]:
    ours, truth = (np.array([one[key] for one in found]) for key in ("spread", "simulated"))
    wrong = ours / truth - 1
    row: dict[str, Any] = {
        "surrogate": name,
        "error": float(np.abs(wrong).mean()),
        "signed": float(wrong.mean()),
        "correlation": float(np.corrcoef(ours, truth)[0, 1]) if len(found) > 1 else None,
        "node_error": statistics.mean(one["node_error"] for one in found),
        "seconds": {key: statistics.median(one["seconds"][key] for one in found) for key in found[0]["seconds"]},
        "by_instance": found,
    }
    if name != SIMULATION:
        ratios, errors = ([one[key] for one in found] for key in ("reduced_ratio", "referee_stderr"))
        row["reduced_ratio"] = {str(b): statistics.mean(one[str(b)] for one in ratios) for b in budgets}
        row["referee_stderr"] = {
            str(b): float(np.linalg.norm([one[str(b)] for one in errors]) / len(errors)) for b in budgets
        }
    return row


if __name__ == "__main__":
    main()
