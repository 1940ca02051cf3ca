"""A ledger in which everything that can happen to a request has happened, and visitors with keys of every kind."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.submissions import KIND, submission
from tests.unlearn.target.example import Purchases
from unlearn.requests.api import create_app
from unlearn.requests.callers import Role
from unlearn.requests.database import Database
from unlearn.requests.holds import Holds
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching
from unlearn.requests.service import Service
from unlearn.requests.settings import Settings
from unlearn.requests.status import status
from unlearn.requests.worker import Worker
from unlearn.target import Batch, Removal, Subject

OTHER = 'Böse & <b>Söhne</b> "x"'
PEOPLE = [f"person-{number:04}@example.org" for number in range(120)]


class Broken(Purchases):
    """Fails where it should remove."""

    def remove(self, batch: Batch) -> Removal:
        raise OSError(f"cannot write {batch.subjects[0].value}")


@dataclass
class Scene:
    """The service, its clock, and the ids of one request of each kind."""

    service: Service
    clock: Clock
    ids: dict[str, str] = field(default_factory=dict[str, str])
    batches: dict[str, str] = field(default_factory=dict[str, str])

    def ask(self, person: int, *, caller: str = "shop", **changes: Any) -> str:
        return self.service.intake.submit(submission(PEOPLE[person], caller=caller, **changes)).subject_request_id

    def work(self, target: Purchases | None = None) -> None:
        targets = self.service.targets if target is None else {"shop": target}
        Worker(self.service.ledger, targets, batching=Batching(window=timedelta(0))).run_once()

    def batch_of(self, id: str) -> str:
        found = status(self.service.ledger, None, id).batch
        assert found is not None
        return found

    def key(self, *roles: Role, name: str = "desk") -> str:
        return self.service.callers.create(name, frozenset(roles))


def opened(folder: Path, keyring: Keyring, clock: Clock) -> Service:
    """The service over the ledger and the shop in a folder."""
    ledger = Ledger(Database(f"sqlite:///{folder}/ledger.db"), keyring, clock)
    settings = Settings(
        database=f"sqlite:///{folder}/ledger.db", keyring=Path("/run/keys/keyring.json"), targets={"shop": {}},
        requests_per_second=1e6,
    )  # fmt: skip
    return Service(settings, ledger, {"shop": Purchases(folder / "shop", keyring.pseudonyms)})


@pytest.fixture(scope="session")
def filled(sqlite_template: Path, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene]:
    """Four weeks of it: the oldest request is overdue, the newest has just come in."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copyfile(sqlite_template, folder / "ledger.db")
    Purchases.create(folder / "shop", [(person, thing) for person in PEOPLE for thing in ("tea", person[7:10])])
    clock = Clock()
    service = opened(folder, keyring, clock)
    scene = Scene(service, clock)
    Holds(service.ledger).place(Subject(KIND, PEOPLE[0]), "case 7")
    scene.ids["on_hold"] = scene.ask(0)
    scene.work()  # finds the hold
    clock.advance(days=20)
    for person in range(1, 9):
        scene.ids["completed"] = scene.ask(person, callbacks=("https://shop.example/hook?for=secret",))
        clock.advance(hours=3)
    scene.work()
    scene.batches["completed"] = scene.batch_of(scene.ids["completed"])
    scene.ids["attention"] = scene.ask(9)
    scene.work(Purchases(folder / "shop", keyring.pseudonyms, frozenset({"subtract", "count"})))
    scene.batches["attention"] = scene.batch_of(scene.ids["attention"])
    clock.advance(days=7, hours=5)
    scene.ids["cancelled"] = scene.ask(10)
    service.cancelling.cancel("shop", scene.ids["cancelled"])
    scene.ids["failing"] = scene.ask(11)
    scene.work(Broken(folder / "shop", keyring.pseudonyms))
    scene.batches["failing"] = scene.batch_of(scene.ids["failing"])
    for person in range(12, 76):
        scene.ids["pending"] = scene.ask(person)
        clock.advance(hours=1)
    scene.ids["other"] = scene.ask(76, caller=OTHER, regulation="ccpa")
    clock.advance(minutes=12)
    service.ledger.database.scrub()
    service.close()
    return folder, scene


@pytest.fixture
def scene(filled: tuple[Path, Scene], keyring: Keyring, tmp_path: Path) -> Iterator[Scene]:
    """A copy of it, of this test's own."""
    folder, made = filled
    shutil.copytree(folder, tmp_path / "scene")
    clock = Clock(made.clock.moment)
    service = opened(tmp_path / "scene", keyring, clock)
    yield Scene(service, clock, dict(made.ids), dict(made.batches))
    service.close()


@dataclass
class Visitor:
    """A browser without a screen, for as long as no script is needed."""

    http: TestClient
    scene: Scene

    def get(self, path: str) -> Any:
        return self.http.get(f"/page/{path}")

    def post(self, path: str, **fields: str) -> Any:
        return self.http.post(f"/page/{path}", data=fields)

    def token(self, path: str) -> str:
        """What a form on that page carries."""
        found = re.search(r'name="token" value="([0-9a-f]{64})"', self.get(path).text)
        assert found is not None
        return found[1]

    def login(self, key: str, to: str = "") -> Any:
        return self.post("login", key=key, token=self.token("login"), to=to)


@pytest.fixture
def anybody(scene: Scene) -> Iterator[Visitor]:
    """Not logged in."""
    with TestClient(create_app(scene.service), raise_server_exceptions=False, follow_redirects=False) as http:
        yield Visitor(http, scene)


@pytest.fixture
def submitter(anybody: Visitor) -> Visitor:
    anybody.login(anybody.scene.key(Role.SUBMIT, name="shop"))
    return anybody


@pytest.fixture
def auditor(anybody: Visitor) -> Visitor:
    anybody.login(anybody.scene.key(Role.AUDIT))
    return anybody


@pytest.fixture
def operator(anybody: Visitor) -> Visitor:
    anybody.login(anybody.scene.key(Role.OPERATE))
    return anybody
