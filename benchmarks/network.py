"""People leave a prepared network one by one, as the deletion-request service has them leave, against preparing anew.

    python -m benchmarks.network --graph lastfm/trustnetwork.txt --surrogate gcn:depth=4:width=16 --json OUT

Of a graph with probabilities of weighted cascade `unlearn influence prepare` makes a workspace: sets, seeds and, unless
it is `none`, a surrogate that learns from the graph. Random people leave it, then hubs, each in a batch of their own;
who fails the verification leaves by a rebuild, as in the service. Seconds are of processor time, of all threads:

- `prepare`: to make the workspace, files included.
- `remove`, `unlearn`, `verify`, `publish` (with the purge): the steps of the target; `leave` is their sum, with the
  rebuild and its verification where there was one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from common import arguments, finish, machine, say

from graph_influence import workspace
from graph_influence.commands.specified import surrogate_of
from graph_influence.forget_sets import hub_users, random_users
from graph_influence.graph import SocialGraph
from graph_influence.network import Network, Plan
from graph_influence.plugin import target
from graph_influence.readers import read
from graph_influence.schemes import weighted_cascade
from graph_influence.standing_surrogate import Lessons
from graph_influence.synthetic import power_law
from unlearn.target import Batch, Pseudonyms, Subject, Target

T = TypeVar("T")


def main() -> None:
    def own(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--graph", default="lastfm/trustnetwork.txt")
        parser.add_argument("--surrogate", default="gcn:depth=4:width=16", help="or none [gcn:depth=4:width=16]")
        parser.add_argument("--k", type=int, default=50, help="seeds [50]")
        parser.add_argument("--hubs", type=int, default=3, help="how many of the most influential leave [3]")
        parser.add_argument("--people", type=int, default=7, help="how many of all leave [7]")
        parser.add_argument("--seed", type=int, default=0, help="[0]")

    given = arguments(__doc__, own)
    torch.set_num_threads(1)
    lessons = Lessons()
    if given.quick:
        given.k, given.hubs, given.people, lessons = 5, 1, 1, Lessons(sets=4, runs=100, epochs=20)
    graph = power_law(200) if given.quick else weighted_cascade(read(given.data / given.graph))
    settings = {name: getattr(given, name) for name in ("graph", "surrogate", "k", "hubs", "people", "seed", "quick")}
    result: dict[str, Any] = {"benchmark": "network", "machine": machine(), "settings": settings, "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "network"
        _, result["prepare"] = clocked(lambda: prepare(given, graph, lessons, place))
        say(f"prepared in {result['prepare']:.2f} s")
        network = target({"workspace": str(place)}, Pseudonyms(bytes(32)))
        for kind, person in leaving(given, graph):
            row = {"kind": kind} | leave(network, str(person))
            result["rows"].append(row)
            say(" ".join(f"{name} {round(v, 3) if isinstance(v, float) else v}" for name, v in row.items()))
            finish(given, result)
    for kind in ("hub", "random"):
        found = [row["leave"] for row in result["rows"] if row["kind"] == kind]
        result[f"leave_{kind}"] = median = statistics.median(found)
        result[f"faster_{kind}"] = faster = result["prepare"] / median
        say(f"{kind}: {median:.2f} s (median of {len(found)}), {faster:.1f} times as fast as anew")
    finish(given, result)


def prepare(given: argparse.Namespace, graph: SocialGraph, lessons: Lessons, place: Path) -> None:
    kind = None if given.surrogate == "none" else surrogate_of(given.surrogate)
    workspace.save(Network.build(graph, Plan(k=given.k), surrogate=kind, lessons=lessons, seed=given.seed), place)


def leaving(given: argparse.Namespace, graph: SocialGraph) -> list[tuple[str, Any]]:
    """Random people first, then hubs, none of whom has left by then."""
    hubs = hub_users(graph, given.hubs, seed=given.seed).users
    others = [one for one in random_users(graph, graph.num_alive, seed=given.seed).users if one not in hubs]
    return [*(("random", one) for one in others[: given.people]), *(("hub", one) for one in hubs)]


def leave(network: Target, person: str) -> dict[str, Any]:
    batch = Batch(f"batch-{person}", (Subject("controller_customer_id", person),))
    seconds: dict[str, float] = {}
    _, seconds["remove"] = clocked(lambda: network.remove(batch))
    version, seconds["unlearn"] = clocked(lambda: network.unlearn(batch, retrain=False))
    verdict, seconds["verify"] = clocked(lambda: network.verify(batch, version))
    failed = [check.name for check in verdict.checks if not check.passed]
    if failed:
        network.rollback(batch, version)
        version, seconds["rebuild"] = clocked(lambda: network.unlearn(batch, retrain=True))
        verdict, again = clocked(lambda: network.verify(batch, version))
        seconds["rebuild"] += again
    _, seconds["publish"] = clocked(lambda: (network.publish(batch, version), network.purge(batch)))
    figures = {check.name: check.value for check in verdict.checks if check.name.startswith("surrogate_")}
    return seconds | {"leave": sum(seconds.values()), "failed": failed, "passed": verdict.passed} | figures


def clocked(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    return work(), time.process_time() - began


if __name__ == "__main__":
    main()
