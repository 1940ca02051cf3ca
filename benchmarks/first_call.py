"""How long the first use of social influence takes in a new process: import, read, select, simulate, remove.

`cold` begins with an empty cache of compiled code, `cached` with what the run before left there; processor and wall
seconds of the whole process, interpreter included, the least of several. `select` is as far as the seeds, at eps = 0.1
on a small graph: next to no work but what comes before it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import finish

SELECT = """
import numpy as np
from graph_influence.graph import SocialGraph
from graph_influence.maximize import maximize
from graph_influence.schemes import weighted_cascade
ends = np.random.default_rng(0).integers(2_000, size=(2, 8_000))
graph = weighted_cascade(SocialGraph.from_arcs(*ends, nodes=2_000, undirected=True))
seeds = maximize(graph, 20, eps=0.1).nodes
"""
ALL = (
    SELECT
    + """
from graph_influence.diffusion import diffusion
from graph_influence.rrsets import RRSets
from unlearn.forget import ForgetSet
diffusion("ic", graph, runs=100).simulate(seeds)
sets = RRSets(graph)
sets.grow(20_000)
sets.update(graph.without(ForgetSet(users=(17,))))
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to this file")
    parser.add_argument("--quick", action="store_true", help="once: that it runs, no figures")
    options = parser.parse_args()
    result = {"benchmark": "first_call"}
    for name, source in (("select", SELECT), ("all", ALL)):
        rounds = [measured(source) for _ in range(1 if options.quick else 3)]
        for part, kind in enumerate(("cold", "cached")):
            cpu, wall = (min(one[part][number] for one in rounds) for number in (0, 1))
            result |= {f"{name}_{kind}_cpu_seconds": cpu, f"{name}_{kind}_wall_seconds": wall}
            print(f"{name:7} {kind:7} {cpu:6.2f} s of processor time, {wall:6.2f} s of wall time")
    finish(options, result)


def measured(source: str) -> list[tuple[float, float]]:
    """Processor and wall seconds with an empty cache, and with the cache of that."""
    with tempfile.TemporaryDirectory() as cache:
        return [_process(source, os.environ | {"NUMBA_CACHE_DIR": cache}) for _ in range(2)]


def _process(source: str, environment: dict[str, str]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", source], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - began


if __name__ == "__main__":
    main()
