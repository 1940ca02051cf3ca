"""Social influence on one graph: seeds, their spread and what is proven of it, sets, deletions, simulation.

    python -m benchmarks.influence --graph FILE --k 50 --json OUT

The graph is made simple: both directions of every edge unless --directed, parallel edges and self-loops removed,
probabilities of weighted cascade. Seeds are selected by OPIM-C twice, at eps = 0.1 as its paper has it and by the
default rule; seconds are wall time of the warm selection alone, the best of several, processor time is printed beside
it. A spread is the estimate on 2^20 reverse-reachable sets that had no part in the choice; `mc_spread` is that of the
default's seeds over 10,000 simulated cascades. Sets, deletions and simulation are measured as in `rrsets` and
`forward`. `peak_mb` is the most that the arrays of the graph, read again, and of the default selection take at a time.

--constant P adds `hist_ratio` and `hist_mb`: how much quicker HIST is than OPIM-C where every arc has probability P, at
eps = 0.1, in processor time, medians over nine seeds, and the most that its arrays take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import forward
import numpy as np
import rrsets
from common import data_set, finish

from graph_influence.diffusion import IndependentCascade
from graph_influence.graph import SocialGraph
from graph_influence.maximize import Hist, Maximizer, Opim, Seeds
from graph_influence.readers import Format, read
from graph_influence.rrsets import RRSets, Spread
from graph_influence.schemes import constant, weighted_cascade

JUDGING = 2**20


def main() -> None:
    options = arguments()
    graph = load(options)
    result: dict[str, Any] = {"nodes": graph.num_alive, "arcs": int(graph.alive.sum())}
    Opim(eps=0.1).maximize(graph, options.k)  # compiled
    eps01, *seconds_eps01 = timed(Opim(seed=options.seed, eps=0.1), graph, options.k, 1 if options.quick else 9)
    default, *seconds_default = timed(Opim(seed=options.seed), graph, options.k, 1 if options.quick else 3)
    result["peak_mb"] = peak(lambda: Opim(seed=options.seed).maximize(load(options), options.k))
    for name, found, (wall, cpu) in (("eps01", eps01, seconds_eps01), ("default", default, seconds_default)):
        rows = graph.nodes.rows(found.nodes)
        spread = judged(graph, rows, options.quick)
        result |= {f"spread_{name}": spread.mean, f"seconds_{name}": wall}
        print(f"{name:8} spread {spread.mean:,.1f} ({spread.low:,.1f} to {spread.high:,.1f}), ratio {found.ratio:.3f}")
        print(f"{'':8} {found.sets:,} sets, {wall:.4f} s, processor {cpu:.4f} s")
    rows = graph.nodes.rows(default.nodes)
    simulated = IndependentCascade(graph, runs=10_000, seed=1 + options.seed).simulate_rows(rows).spread
    result |= {
        "mc_spread": simulated.mean,
        "mc_stderr": simulated.standard_error,
        "certified_ratio": default.ratio,
        "seeds": list(default.nodes),
        "seeds_eps01": list(eps01.nodes),
    }
    if options.constant is not None:
        result |= truncation(constant(graph, p=options.constant), options)
    few = {"repeats": 1} if options.quick else {}
    sets = rrsets.measure(graph, **(few | {"sets": 20_000, "removals": 10} if options.quick else {}))
    result |= {
        name: sets[name]
        for name in (
            "sets_per_second_1t",
            "sets_per_second_2t",
            "bytes_per_set",
            "removal_ms_median",
            "removal_worst_ratio_to_rebuild",
        )
    }
    runs = forward.measure(graph, rows, **(few | {"runs": 200} if options.quick else {}))
    result |= {name: runs[name] for name in ("cynetdiff_ic_ratio", "cynetdiff_lt_ratio")}
    print(json.dumps({name: value for name, value in result.items() if not name.startswith("seeds")}, indent=2))
    finish(options, result)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--graph", type=Path, default=data_set("graphs/hep.txt"),
        help="text of ties that the readers know; gzip too [graphs/hep.txt in UNLEARN_DATA]",
    )  # fmt: skip
    parser.add_argument("--format", choices=get_args(Format), help="of the file [by content]")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--undirected", action="store_true", default=True, help="edges go both ways [so]")
    ways.add_argument("--directed", dest="undirected", action="store_false", help="edges go as they are written")
    parser.add_argument("--k", type=int, default=50, help="seeds [50]")
    parser.add_argument("--seed", type=int, default=0, help="of the selection [0]")
    parser.add_argument("--constant", type=float, metavar="P", help="also time HIST with this probability on every arc")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to this file")
    parser.add_argument(
        "--quick", action="store_true", help="that it runs, no figures; on synthetic ties where there are none"
    )
    options = parser.parse_args()
    if options.graph is None and not options.quick:
        parser.error("name the graph by --graph, or set UNLEARN_DATA; or pass --quick")
    return options


def load(options: argparse.Namespace) -> SocialGraph:
    try:
        if options.graph is None:
            ends = np.random.default_rng(0).integers(400, size=(2, 1_500))
            graph = SocialGraph.from_arcs(*ends, nodes=400, undirected=options.undirected)
        else:
            graph = read(options.graph, format=options.format, undirected=options.undirected, probability=False)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    graph = weighted_cascade(graph)
    if graph.num_alive < 4:
        raise SystemExit(f"`--graph` must hold at least 4 nodes, for some leave (got {graph.num_alive})")
    if not 1 <= options.k <= graph.num_alive:
        raise SystemExit(f"`--k` must be from 1 to the graph's {graph.num_alive} nodes (got {options.k})")
    return graph


def timed(method: Maximizer, graph: SocialGraph, k: int, repeats: int) -> tuple[Seeds, float, float]:
    """The seeds, and the least wall and processor seconds of `repeats` selections."""
    wall, cpu = [], []
    for _ in range(repeats):
        began = time.process_time()
        found = method.maximize(graph, k)
        wall.append(found.seconds)
        cpu.append(time.process_time() - began)
    return found, min(wall), min(cpu)


def judged(graph: SocialGraph, rows: np.ndarray[Any, Any], quick: bool) -> Spread:
    sets = RRSets(graph, seed=2**40 + 1, sentinels=rows)
    sets.grow(JUDGING // 64 if quick else JUDGING)
    return sets.spread(rows)


def truncation(graph: SocialGraph, options: argparse.Namespace) -> dict[str, float]:
    megabytes = peak(lambda: Hist(eps=0.1).maximize(graph, options.k))
    hist, opim = (
        statistics.median(timed(kind(eps=0.1, seed=seed), graph, options.k, 1)[2] for seed in range(9))
        for kind in (Hist, Opim)
    )
    print(f"p = {options.constant:g}: HIST {hist:.4f} s, OPIM-C {opim:.4f} s of processor time")
    return {"hist_ratio": opim / hist, "hist_mb": megabytes}


def peak(work: Callable[[], object]) -> float:
    """Megabytes of arrays that the work holds at a time, at most."""
    tracemalloc.start()
    work()
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held / 1e6


if __name__ == "__main__":
    main()
