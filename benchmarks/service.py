"""The deletion-request service under load: how fast it accepts, and that it loses, repeats and leaks nothing.

A server, a process that asks for recommendations all the while, and clients in one thread, all on this machine. Of the
requests a tenth are sent a second time and a twentieth is malformed. When all are answered a worker serves them, and
everything that was accepted is looked up in the ledger. A leak is a recommendation for somebody that was asked for
after the 201 for their request had arrived. Bars: 150 accepted a second on SQLite, 300 on PostgreSQL, 99 % within
250 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from common import finish
from deployment import PROGRAM, Deployment, deployed, processor_seconds, ready, running
from service_clients import requests, sent

BARS = {"sqlite": 150.0, "postgresql": 300.0}
P99_MS = 250.0

TRAFFIC = """
import json, sys, time
import numpy as np
from recsys.plugin import Serving, target
from unlearn.forget import UnknownIds
from unlearn.requests.keyring import Keyring
from pathlib import Path

workspace, keyring, out, stop = sys.argv[1:]
serving = Serving(target({"workspace": workspace}, Keyring.read(Path(keyring)).pseudonyms))
users = [str(user) for user in serving.users()]
draw = np.random.default_rng(0)
with open(out, "w") as log:
    while not Path(stop).exists():
        user = users[draw.integers(len(users))]
        asked = time.monotonic()
        try:
            answered = serving.recommend(user, k=10) is not None
        except UnknownIds:
            answered = False
        log.write(json.dumps([asked, user, answered]) + "\\n")
        time.sleep(0.004)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=sorted(BARS), default="sqlite")
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure and both logs to this file")
    parser.add_argument("--quick", action="store_true", help="a few requests: that it runs, no figures")
    options = parser.parse_args()
    if options.quick:
        options.requests, options.clients = 60, 4
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        result = measure(options, Path(name), stack)
    told = {key: value for key, value in result.items() if not key.endswith("_log")}
    print(json.dumps(told, indent=2))
    finish(options, result)


def measure(options: argparse.Namespace, folder: Path, stack: ExitStack) -> dict[str, Any]:
    house = deployed(
        options.database, folder, stack, users=options.requests, items=500, dim=32, settings="batch_limit = 10000"
    )
    key = house.api_key("bench")
    asked = requests(options.requests, house.people, key)
    with running([*PROGRAM, "serve"], house.environment) as server:
        ready(house.url)
        log, stop = folder / "traffic.jsonl", folder / "stop"
        asking = [sys.executable, "-c", TRAFFIC, str(house.model), str(house.keyring), str(log), str(stop)]
        with running(asking, house.environment, stop=stop) as traffic:
            while not (log.exists() and log.stat().st_size):
                time.sleep(0.1)
            used = {
                "server": processor_seconds(server.pid),
                "database": processor_seconds(house.postmaster),
                "recommendations": processor_seconds(traffic.pid),
            }
            own = time.process_time()
            answers = sent(asked, house.url, options.clients)
            seconds = {name: spent() for name, spent in used.items()} | {"clients": time.process_time() - own}
            time.sleep(1.0)
            began = time.monotonic()
            subprocess.run([*PROGRAM, "worker", "--once"], env=house.environment, check=True, stderr=subprocess.DEVNULL)
            serving_seconds = time.monotonic() - began
        asked_for = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    found = figures(options, answers, asked_for, house)
    per_request = {name: 1e3 * spent / len(answers) for name, spent in seconds.items()}
    return found | {"processor_ms_per_request": per_request, "worker_seconds": serving_seconds}


def figures(
    options: argparse.Namespace, answers: list[dict[str, Any]], traffic: list[Any], house: Deployment
) -> dict[str, Any]:
    from sqlalchemy import func, select

    from unlearn.requests import audit
    from unlearn.requests.states import RequestState, Step
    from unlearn.requests.tables import Request, StepRecord

    accepted = [one for one in answers if one["status"] == 201]
    seconds = max(one["ended"] for one in answers) - min(one["began"] for one in answers)
    waits = np.array([one["ended"] - one["began"] for one in accepted]) * 1e3
    service = house.service()
    with service.ledger.database.read() as session:
        ids = dict(session.execute(select(Request.subject_request_id, Request.state)).tuples().all())
        steps = session.execute(select(StepRecord).order_by(StepRecord.id)).scalars().all()
        pairs = session.execute(
            select(func.count()).group_by(StepRecord.batch_id, StepRecord.target).where(StepRecord.step == Step.REMOVE)
        ).scalars()
        twice = sum(number - 1 for number in pairs)
        whole = audit.first_break(session, service.ledger) is None
    service.close()
    unique = {one["id"] for one in accepted}
    since: dict[str, float] = {}
    for one in accepted:
        since[one["person"]] = min(one["ended"], since.get(one["person"], np.inf))
    leaks = [row for row in traffic if row[2] and row[0] > since.get(row[1], np.inf)]
    expected = {"new": 201, "duplicate": 201, "malformed": 400}
    rate, p99 = len(accepted) / seconds, float(np.quantile(waits, 0.99))
    return {
        "benchmark": "service",
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "settings": {"database": options.database, "requests": options.requests, "clients": options.clients},
        "accepted_per_second": rate,
        "p50_accept_ms": float(np.median(waits)),
        "p99_accept_ms": p99,
        "accounted": all(one["status"] == expected[one["kind"]] for one in answers) and set(ids) == unique,
        "lost": sum(ids.get(id) != RequestState.COMPLETED for id in unique),
        "applied_twice": twice + len(ids) - len(unique),
        "leaked_after_201": len(leaks),
        "recommendations": len(traffic),
        "audit_chain_holds": whole,
        "met": bool(rate >= BARS[options.database] and p99 < P99_MS),
        "accept_log": answers,
        "publish_log": [
            {"batch": row.batch_id, "step": row.step, "outcome": row.outcome, "ended_at": row.ended_at.isoformat()}
            for row in steps
        ],
    }


if __name__ == "__main__":
    main()
