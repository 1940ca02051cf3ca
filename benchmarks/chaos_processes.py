"""Servers and workers that are killed: forks of one process that has imported everything, so that a start costs little.

Each runs the command line as it is. What is added to it dies at a named place when told to, and lets the clock jump.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

STEPS = (
    "resolve", "suppress", "remove", "unlearn", "verify", "rollback", "retrain", "verify_retrain", "publish", "purge",
)  # fmt: skip
WORKER = (
    "claimed", "holds checked", "closed", *(f"{step} {when}" for step in STEPS for when in ("ended", "recorded"))
)  # fmt: skip
SERVER = ("before suppressing", "suppressed", "committed", "before releasing", "released")
PRELOADED = ["recsys.plugin", "recsys.commands", "recsys.methods", "unlearn.requests.api", "unlearn.requests.worker",
             "unlearn.requests.service", "unlearn.cli", "uvicorn", "psycopg"]  # fmt: skip


@dataclass
class Processes:
    """The processes of one service, and what they are told while they run."""

    config: Path
    log: Path
    running: dict[str, BaseProcess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._place = self._context.Array("c", 64, lock=False)
        self._skew = self._context.Value("d", lock=False)

    def start(self, name: str, *arguments: str) -> None:
        """Start `unlearn` with these arguments."""
        told = (arguments, str(self.config), str(self.log), self._place, self._skew)
        process = self._context.Process(target=_program, args=told, name=name, daemon=True)
        process.start()
        self.running[name] = process

    def kill_at(self, place: str) -> None:
        """Whoever comes to that place next dies there."""
        self._place.value = place.encode()

    def spare(self) -> None:
        """Nobody dies any more."""
        self._place.value = b""

    def pass_time(self, seconds: float) -> None:
        """Let the clock of all processes jump."""
        self._skew.value += seconds

    def dead(self) -> list[str]:
        """Who does not run any more."""
        return [name for name, process in self.running.items() if process.exitcode is not None]

    def kill(self, name: str) -> None:
        process = self.running[name]
        if process.exitcode is None:
            process.kill()
            process.join()

    def end(self) -> None:
        """Tell all to end, as an operator would."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.join(30)
            if process.exitcode is None:
                process.kill()


def _program(arguments: tuple[str, ...], config: str, log: str, place: Any, skew: Any) -> None:
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["UNLEARN_CONFIG"] = config
    from unlearn.requests import service, worker
    from unlearn.requests.intake import Intake
    from unlearn.requests.ledger import Ledger
    from unlearn.requests.queue import Queue
    from unlearn.requests.service import Service

    def die(at: str) -> None:
        if place.value == at.encode():
            os.kill(os.getpid(), signal.SIGKILL)

    service.Ledger = partial(Ledger, now=lambda: datetime.now(UTC) + timedelta(seconds=skew.value))
    worker.perform = _then(worker.perform, lambda due, *_: die(f"{due.step} ended"))
    worker.record = _then(worker.record, lambda _ledger, _queue, _claim, due, *_: die(f"{due.step} recorded"))
    Queue.claim = _then(Queue.claim, lambda *_: die("claimed"), given_result=True)
    Queue.check_holds = _then(Queue.check_holds, lambda *_: die("holds checked"))
    Queue.close = _then(Queue.close, lambda *_: die("closed"))
    if arguments[0] == "serve":
        Service.suppress = _before(Service.suppress, lambda *_: die("before suppressing"))
        Service.suppress = _then(Service.suppress, lambda *_: die("suppressed"))
        Intake._store = _then(Intake._store, lambda *_: die("committed"))
        Service.release = _before(Service.release, lambda *_: die("before releasing"))
        Service.release = _then(Service.release, lambda *_: die("released"))

    from unlearn.cli import app

    app(list(arguments))


def _then(function: Callable[..., Any], act: Callable[..., object], *, given_result: bool = False) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        if result is not None or not given_result:
            act(*arguments)
        return result

    return wrapped


def _before(function: Callable[..., Any], act: Callable[..., object]) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        act(*arguments)
        return function(*arguments, **named)

    return wrapped


def until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
