"""What goes on around the processes that are killed: clients that repeat until they are answered, and a reader."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from service_clients import body

REPEATED, TAKEN_BACK = 0.15, 0.10


@dataclass
class Sent:
    """A request that was acknowledged: about whom, and whether its cancellation was."""

    id: str
    person: str
    cancelled: bool = False


class Client(threading.Thread):
    """Sends requests when it may, some of them twice, and takes some back; goes on until it has an answer.

    Args:
        people: whom the requests are about, one after another; every second one is a stranger.
    """

    def __init__(self, url: str, key: str, people: list[str], seed: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[Sent] = []
        self.refused: list[int] = []
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20)
        self._people = iter(people)
        self._draw = np.random.default_rng(seed)
        self._stopped = threading.Event()
        self._may = threading.Semaphore(0)

    def ask(self) -> None:
        """It may send two requests more, after a moment."""
        self._may.release()

    def finish(self) -> None:
        """Send no new request; the one at hand is brought to its end."""
        self._stopped.set()
        self._may.release()
        self.join()

    def run(self) -> None:
        for person in self._people:
            self._may.acquire()
            if self._stopped.wait(self._draw.exponential(0.2)):
                return
            self._make(person)
            self._make(uuid.UUID(bytes=self._draw.bytes(16)).hex)

    def _make(self, person: str) -> None:
        id = str(uuid.UUID(bytes=self._draw.bytes(16), version=4))
        for _ in range(1 + (self._draw.random() < REPEATED)):
            answer = self._until("POST", "/v2/requests", json=body(id, person), headers={"Idempotency-Key": id})
            if answer.status_code != 201:
                self.refused.append(answer.status_code)
                return
        made = Sent(id, person)
        self.acknowledged.append(made)
        if self._draw.random() < TAKEN_BACK:
            answer = self._until("DELETE", f"/v2/requests/{id}")
            made.cancelled = answer.status_code == 202
            if answer.status_code not in (202, 409):
                self.refused.append(answer.status_code)

    def _until(self, method: str, path: str, **content: Any) -> httpx.Response:
        """The first answer that says what became of it: of a killed server none does, nor one that says `repeat it`."""
        while True:
            try:
                answer = self._http.request(method, path, **content)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code < 500 and not (method == "POST" and answer.status_code == 409):
                return answer
            time.sleep(0.05)


class Reader(threading.Thread):
    """Looks at the published version all the while: whom each one knows, by its digest."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, frozenset[str]] = {}
        self._folder = folder
        self._stopped = threading.Event()

    def finish(self) -> None:
        self._stopped.set()
        self.join()
        self._look()

    def run(self) -> None:
        while not self._stopped.wait(0.02):
            self._look()

    def _look(self) -> None:
        from recsys import store

        try:
            digest = _digest(self._folder)
            if digest in self.seen:
                return
            ids = store.user_ids(self._folder)
            if digest == _digest(self._folder):  # else another one was published in between
                self.seen[digest] = frozenset(str(one) for one in ids.ids[ids.alive])
        except FileNotFoundError:  # in the midst of a swap
            return


def _digest(folder: Path) -> str:
    return json.loads((folder / "manifest.json").read_bytes())["digest"]
