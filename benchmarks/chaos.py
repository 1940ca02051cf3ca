"""The deletion-request service under kill -9: a worker or the server dies in every round, and nothing is lost by it.

Real processes over a trained recommender and a third party's target, while clients send, repeat and take back requests.
A round ends with a kill: at one of the places between two things that the worker or the server does, or at a random
moment. After a kill the clock of all jumps by a lease, so that nobody waits for the dead, and a living worker may find
its batch with another. When all rounds are over, what is left is served and everything is counted:

- `lost`: acknowledged requests that are neither complete nor acknowledged as cancelled;
- `applied_twice`: steps of a batch that ended twice, requests closed twice, records that were removed once too often;
- `published_with_erased`: versions seen as published that know somebody whose erasure had been published before;
- `chain_valid`: the audit trail's chain holds, and so do all certificates and theirs.

Bars: 0, 0, 0, true.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from chaos_clients import Client, Reader
from chaos_ledger import figures, settled
from chaos_processes import SERVER, WORKER, Processes, until
from common import finish
from deployment import deployed, ready
from tqdm import tqdm

from unlearn.requests.service import Service

AT_RANDOM = "a random moment"
LEASE = 5.0
PATIENCE = 6.0  # seconds that a round waits for somebody to come to its place, before it kills at that moment
SETTINGS = f"batch_limit = 64\nlease_seconds = {LEASE:g}\nretrain_above_share = 0.2\nretrain_above_drift = 0.1\n"
EXAMPLE = Path(__file__).resolve().parents[1] / "tests" / "unlearn" / "target" / "example.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to this file")
    parser.add_argument("--quick", action="store_true", help="a few rounds: that it runs, no figures")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 6
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        result = measure(options, Path(name), stack)
    print(json.dumps(result, indent=2))
    finish(options, result)


def measure(options: argparse.Namespace, folder: Path, stack: ExitStack) -> dict[str, Any]:
    install(folder / "plugin")
    users = 3 * options.rounds + 100  # of whom two a round ask to be forgotten
    house = deployed(
        options.database, folder, stack, users=users, items=60, dim=8, settings=SETTINGS,
        targets=f'[targets.purchases]\nfolder = "{folder}/purchases"\ndistrusted = ["subtract"]\n',
    )  # fmt: skip
    bought(folder / "purchases", house.people)
    began = time.monotonic()
    processes = Processes(house.config, folder / "log")
    workers = [f"worker {k}" for k in range(1 if options.database == "sqlite" else 2)]
    start(processes, ["server", *workers])
    ready(house.url)
    reader = Reader(house.model / "model")
    halves = house.people[: users // 2], house.people[users // 2 :]
    keys = [house.api_key(f"controller {k}") for k in range(len(halves))]
    clients = [Client(house.url, key, people, k) for k, (key, people) in enumerate(zip(keys, halves, strict=True))]
    for thread in (reader, *clients):
        thread.start()
    kills = Counter[str]()
    moments = np.random.default_rng(options.seed).exponential(0.5, options.rounds)
    for (role, place), moment in zip(
        tqdm(plan(options.rounds, options.seed), desc="kills", disable=None), moments, strict=True
    ):
        for client in clients:
            client.ask()
        kills[kill(processes, role, place, moment)] += 1
    for client in clients:
        client.finish()
    processes.spare()
    service = house.service()
    stack.callback(service.close)
    drained = until(lambda: served(processes, service), 120)
    processes.end()
    reader.finish()
    found = figures(house, service, [one for client in clients for one in client.acknowledged], reader.seen)
    refused = Counter(status for client in clients for status in client.refused)
    return {
        "benchmark": "chaos",
        "quick": options.quick,
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "settings": {"database": options.database, "seed": options.seed, "workers": len(workers)},
        "rounds": options.rounds,
        **found,
        "drained": drained,
        "refused": dict(refused),
        "seconds": time.monotonic() - began,
        "kills": dict(sorted(kills.items())),
    }


def plan(rounds: int, seed: int) -> list[tuple[str, str]]:
    """Who dies where: every place equally often, in random order, and in a third of all rounds at a random moment."""
    draw = np.random.default_rng(seed)
    cycle = [("worker", place) for place in WORKER] + [("server", place) for place in SERVER]
    cycle += [("worker", AT_RANDOM), ("server", AT_RANDOM)] * (len(cycle) // 4)
    planned: list[tuple[str, str]] = []
    while len(planned) < rounds:
        planned += [cycle[k] for k in draw.permutation(len(cycle))]
    return planned[:rounds]


def kill(processes: Processes, role: str, place: str, moment: float) -> str:
    """Have somebody die there, or kill after that many seconds; start who is dead. Returns what happened."""
    died = False
    if place == AT_RANDOM:
        time.sleep(moment)
    else:
        processes.kill_at(place)
        died = until(lambda: bool(processes.dead()), PATIENCE)
        processes.spare()
    if not died:
        processes.kill(next(name for name in processes.running if name.startswith(role)))
    processes.pass_time(LEASE + 1)
    start(processes, processes.dead())
    return f"{role}: {place if died else AT_RANDOM}"


def start(processes: Processes, names: list[str]) -> None:
    for name in names:
        processes.start(name, "serve" if name == "server" else "worker")


def served(processes: Processes, service: Service) -> bool:
    """Whether nothing is left to do; time passes for what waits to be tried again."""
    processes.pass_time(1.0)
    time.sleep(0.2)
    return settled(service)


def install(site: Path) -> None:
    """The example of a third party's target, as a package of its own that is found by its entry point."""
    described = site / "purchases-1.dist-info"
    described.mkdir(parents=True)
    shutil.copyfile(EXAMPLE, site / "purchases.py")
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: purchases\nVersion: 1\n", "utf-8")
    (described / "entry_points.txt").write_text("[unlearn.targets]\npurchases = purchases:target\n", "utf-8")
    sys.path.insert(0, str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))


def bought(folder: Path, people: list[str]) -> None:
    """Three purchases of everybody."""
    from purchases import Purchases

    Purchases.create(
        folder, [(person, f"thing {(k + step) % 7}") for k, person in enumerate(people) for step in range(3)]
    )


if __name__ == "__main__":
    main()
