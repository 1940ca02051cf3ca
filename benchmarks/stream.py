"""A thousand erasures in a stream while recommendations go on: nothing leaks, and the model stays as good as a retrain.

A server, a worker and a process that asks for recommendations from several threads, all on this machine and all as they
are run in production. Half of the requests are about a user, half about one interaction of somebody who stays. Each
comes by HTTP at a moment of its own; the worker serves them in batches, unlearning where it may and retraining where
the rules say so. A leak is a recommendation that was asked for after the 201 had arrived: to an erased user, or of the
item of an erased interaction to its user. When all is done, ranking quality on the held-out interactions of those
who remain is compared with that of a model trained from the beginning on what remains. Bars: no leak, and within 1 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from common import arguments, at_least, finish, load, report, say, verdict
from deployment import PROGRAM, Deployment, configured, ready, running
from stream_figures import Erasure, compared, figures, quality, ranked

from recsys.data import Split

UTILITY = 0.01

TRAFFIC = """
import json, sys, threading, time
import numpy as np
from pathlib import Path
from recsys.plugin import Serving, target
from unlearn.forget import UnknownIds
from unlearn.requests.keyring import Keyring

workspace, keyring, out, stop, threads = sys.argv[1:]
serving = Serving(target({"workspace": workspace}, Keyring.read(Path(keyring)).pseudonyms))
users = serving.users()
Path(out + ".ready").touch()

def ask(number):
    draw = np.random.default_rng(number)
    with open(f"{out}.{number}", "w") as log:
        while not Path(stop).exists():
            user = users[draw.integers(len(users))]
            asked = time.monotonic()
            try:
                found = serving.recommend(user, k=10)
            except UnknownIds:
                found = None
            items = None if found is None else [str(item) for item in found.ids.tolist() if item is not None]
            log.write(json.dumps([asked, time.monotonic(), str(user), items]) + "\\n")
            time.sleep(0.02)

asking = [threading.Thread(target=ask, args=(number,)) for number in range(int(threads))]
for one in asking: one.start()
for one in asking: one.join()
"""


def main() -> None:
    def own(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
        parser.add_argument("--requests", type=at_least(2), default=1_000, help="half users, half interactions [1000]")
        parser.add_argument("--seconds", type=at_least(1), default=480, help="within which they come [480]")
        parser.add_argument("--batch", type=at_least(1), default=25, help="requests of a batch, at most [25]")
        parser.add_argument("--threads", type=at_least(1), default=4, help="that ask for recommendations [4]")

    options = arguments(__doc__, own)
    if options.quick:
        options.requests, options.seconds, options.batch, options.threads = 16, 4, 6, 2
    split = load(options, "lastfm")
    names = ("database", "requests", "seconds", "batch", "threads")
    result = report(options, "stream", split, {name: getattr(options, name) for name in names} | {"seed": 0})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        result |= measure(options, split, Path(folder), stack)
    told = {key: value for key, value in result.items() if not key.endswith("_log")}
    say(json.dumps({key: told[key] for key in ("batches", "requests", "leaks", "utility", "met")}, indent=2))
    finish(options, result)


def measure(options: argparse.Namespace, split: Split, folder: Path, stack: ExitStack) -> dict[str, Any]:
    prepare(options, split, folder / "model")
    before = quality(folder / "model", split)
    house = configured(options.database, folder, stack, settings=f"batch_limit = {options.batch}", window=0.1)
    key, environment = house.api_key("bench"), house.environment
    log, stop = folder / "traffic", folder / "stop"
    asking = [str(house.model), str(house.keyring), str(log), str(stop), str(options.threads)]
    wanted = erasures(split, options.requests)
    began = time.monotonic()
    with running([*PROGRAM, "serve"], environment), running([*PROGRAM, "worker"], environment):
        ready(house.url)
        with running([sys.executable, "-c", TRAFFIC, *asking], environment, stop=stop):
            while not Path(f"{log}.ready").exists():
                time.sleep(0.05)
            answers = send(options, wanted, key, house.url)
            wait(house, len(answers))
            time.sleep(1.0)  # a last look at the last version
    elapsed = time.monotonic() - began
    traffic = [json.loads(line) for part in sorted(folder.glob("traffic.[0-9]*")) for line in part.open("r")]
    result = figures(wanted, answers, traffic, house.config) | {"seconds": elapsed}
    result["utility"] = compared(before, folder / "model", split)
    result["leaks"]["erased_interactions_ranked_in_10"] = ranked(folder / "model", wanted)
    leaks, near = result["leaks"], max(abs(value) for value in result["utility"]["relative"].values())
    bars = {
        "no_leak": leaks["to_erased_users"] == leaks["of_erased_interactions"] == 0,
        "all_completed": result["requests"]["completed"] == len(wanted),
        "utility_within_1_percent": near <= UTILITY,
    }
    say(", ".join(f"{name}: {verdict(met)}" for name, met in bars.items()))
    return result | {"bars": bars, "met": all(bars.values())}


def prepare(options: argparse.Namespace, split: Split, folder: Path) -> None:
    from recsys import workspace
    from recsys.commands.build import build_model
    from recsys.commands.options import Setup

    setup = Setup(dim="8", layers=2) if options.quick else Setup()
    workspace.save(build_model(setup, split.train, seed=0, progress=False).fit(), folder)


def erasures(split: Split, number: int) -> list[Erasure]:
    """Half users, half interactions of others, in random order."""
    draw, data = np.random.default_rng(0), split.train
    present = np.flatnonzero(data.degrees()[0])
    chosen = draw.choice(present, number // 2, replace=False)
    staying = np.flatnonzero(~np.isin(data.user_rows(), chosen))
    positions = draw.choice(staying, number - len(chosen), replace=False)
    users = [Erasure(str(user), None) for user in data.users.take(chosen)]
    pairs = zip(data.users.take(data.user_rows()[positions]), data.items.take(data.indices[positions]), strict=True)
    both = [*users, *(Erasure(str(user), str(item)) for user, item in pairs)]
    return [both[k] for k in draw.permutation(len(both))]


def send(options: argparse.Namespace, wanted: Sequence[Erasure], key: str, url: str) -> list[dict[str, Any]]:
    """Each at its own moment, from four clients; when it was answered, and by what."""
    moments = np.sort(np.random.default_rng(1).uniform(0, options.seconds, len(wanted))) + time.monotonic()
    local = threading.local()

    def post(place: int) -> dict[str, Any]:
        if not hasattr(local, "http"):
            local.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)
        time.sleep(max(0.0, moments[place] - time.monotonic()))
        subject, id = wanted[place].subject, str(uuid.UUID(int=place, version=4))
        named = {"identity_type": subject.type, "identity_value": subject.value, "identity_format": "raw"}
        body = {
            "regulation": "gdpr", "subject_request_id": id, "subject_request_type": "erasure",
            "submitted_time": "2026-01-05T08:00:00Z", "subject_identities": [named],
        }  # fmt: skip
        began = time.monotonic()
        answer = local.http.post("/v2/requests", json=body, headers={"Idempotency-Key": id})
        return {"id": id, "status": answer.status_code, "began": began, "ended": time.monotonic()}

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(post, range(len(wanted))))


def wait(house: Deployment, number: int) -> None:
    """Until every request is complete."""
    from sqlalchemy import func, select

    from unlearn.requests.states import RequestState
    from unlearn.requests.tables import Request

    service = house.service()
    done = select(func.count()).where(Request.state == RequestState.COMPLETED)
    try:
        for _ in range(7_200):
            with service.ledger.database.read() as session:
                if session.scalar(done) == number:
                    return
            time.sleep(1.0)
    finally:
        service.close()
    raise SystemExit("the requests were not served within two hours")


if __name__ == "__main__":
    main()
