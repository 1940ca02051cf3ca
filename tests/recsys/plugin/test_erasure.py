"""After completion nothing of a person is left: a search of database, snapshot, models and MLflow, from end to end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from sqlalchemy import select

from recsys import store, workspace
from recsys.plugin import RecommenderTarget, target
from recsys.problem import RecommenderProblem
from tests.oracles.traces import holders
from tests.recsys.plugin.workspaces import KIND, people, stored
from tests.unlearn.requests.conftest import Clock
from tests.unlearn.requests.submissions import submission
from unlearn.requests.certificate import certificate, disclosed
from unlearn.requests.database import Database
from unlearn.requests.intake import Intake
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching
from unlearn.requests.states import RequestState
from unlearn.requests.status import status
from unlearn.requests.steps import Escalation
from unlearn.requests.tables import BatchRow
from unlearn.requests.worker import Worker
from unlearn.target import Batch, Pseudonyms, StaleVersion, Subject, interaction
from unlearn.tracking import MlflowTracker
from unlearn.tracking.copies import Copies
from unlearn.workspace_target import InvalidOptions

NEVER = Escalation(share=2.0, drift=2.0)


def removed(document: dict[str, Any]) -> dict[str, Any]:
    """What a certificate says that was taken out of the recommender's data."""
    (counts,) = disclosed(document, "counts")
    return counts["recsys"]["removed"]


class Service:
    """Ledger, recommender and MLflow in one folder; the keys in another."""

    def __init__(self, folder: Path, keys: Path, location: Path, **options: str) -> None:
        self.folder, self.clock = folder, Clock()
        database = Database(f"sqlite:///{folder}/ledger.db")
        keyring = Keyring.create(keys / "keyring.json")
        database.migrate(keyring)
        self.ledger = Ledger(database, keyring, self.clock)
        self.table = {"workspace": str(folder / "model"), "tracking": str(location), **options}
        self.target = target(self.table, self.ledger.keyring.pseudonyms)
        self.intake = Intake(self.ledger, self.target.suppress, due_within=timedelta(days=28))

    def worker(self, **changes: Any) -> Worker:
        plan = Batching(window=timedelta(0), retrain_every=timedelta(days=30))
        return Worker(self.ledger, {"recsys": self.target}, **{"batching": plan, "escalation": NEVER} | changes)

    def erase(self, *subjects: Subject, **changes: Any) -> dict[str, Any]:
        request = self.intake.submit(replace(submission(), subjects=subjects)).subject_request_id
        assert self.worker(**changes).run_once()
        found = status(self.ledger, None, request)
        assert found.state is RequestState.COMPLETED and found.batch is not None
        return self.certificate(found.batch)

    def certificate(self, batch: str) -> dict[str, Any]:
        document = certificate(self.ledger, batch)
        assert document is not None
        return document


@pytest.fixture
def service(tmp_path: Path, migrated_store: Path) -> Callable[..., Service]:
    def make(**options: str) -> Service:
        folder = tmp_path / "service"
        shutil.copytree(stored("whole_data"), folder / "model")
        location = Path(shutil.copyfile(migrated_store, folder / "mlflow.db"))
        return Service(folder, tmp_path / "keys", location, **options)

    return make


def vectors(recommender: RecommenderTarget, person: Subject) -> list[bytes]:
    """The person's row in every table of the published version, as a file has it."""
    problem = workspace.load(recommender.workspace.folder)
    assert isinstance(problem, RecommenderProblem)
    (row,) = problem.data.users.rows([person.value])
    return [table[row].numpy().tobytes() for table in (problem.params["table"], problem.readout()[0])]


def holding(folder: Path, needles: list[bytes]) -> set[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)) for path in files if any(one in path.read_bytes() for one in needles)}


def copied(house: Service, location: Path) -> None:
    """What `unlearn train --track` leaves in MLflow, beside whatever the service publishes there."""
    tracker, folder = MlflowTracker(location), house.target.workspace.folder
    with tracker.run("train") as run:
        model_id = run.model(workspace.model_folder(folder), name="lightgcn")
    Copies.of(folder).add(tracker.uri, model_id)


@pytest.mark.parametrize("old_versions", ["destroy", "record"])
def test_neither_the_id_nor_the_row_vector_is_left_anywhere(service: Callable[..., Service], old_versions: str) -> None:
    house = service(old_versions=old_versions)
    copied(house, house.folder / "mlflow.db")
    first, gone, stays = people(3, 17, 20)
    house.erase(first)  # publishes a version that has `gone` into MLflow
    rows, others = vectors(house.target, gone), vectors(house.target, stays)
    assert all(np.frombuffer(row, np.float32).any() for row in rows)
    for files in (holders(house.folder, [gone.value]), *(holding(house.folder, [row]) for row in rows)):
        assert {Path(file).parts[0] for file in files} == {"model", "mlflow-artifacts"}

    document = house.erase(gone)

    assert holders(house.folder, [first.value, gone.value]) == set() and holding(house.folder, rows) == set()
    assert holders(house.folder, [stays.value]) and not holding(house.folder, others)  # who stays has a new row
    left = document["targets"]["recsys"]["left"]
    assert left.keys() >= {"tracked_versions", "tracked_runs", "tracked_models", "tracked_folders", "copies"}
    assert not any(left.values())


def test_what_mlflow_says_is_the_version_that_serves_and_names_nobody(service: Callable[..., Service]) -> None:
    house = service(registered_model="shop recommender")
    people_gone = people(3, 17)
    documents = [house.erase(one) for one in people_gone]
    uri = f"sqlite:///{house.folder}/mlflow.db"
    client = MlflowClient(uri, registry_uri=uri)
    champion = client.get_model_version_by_alias("shop recommender", "champion")
    version = documents[1]["targets"]["recsys"]["version"]
    digest = house.target.manifest()["digest"]
    assert int(champion.version) == 2 and champion.tags["unlearn.digest"] == version["digest"] == digest
    assert champion.tags["unlearn.parent_model"] == documents[0]["targets"]["recsys"]["version"]["digest"]
    assert champion.tags["unlearn.batch"] == documents[1]["batch"]
    assert champion.run_id is not None
    run = client.get_run(champion.run_id)
    assert run.data.tags["unlearn.method"] == version["method"] == "reconverge"
    assert run.data.metrics["interactions_removed"] == removed(documents[1])["counts"]["interactions"]
    # The digest is keyed: the same batch under another key has another one.
    batch = Batch(documents[1]["batch"], people_gone[1:])
    assert run.data.tags["unlearn.request_digest"] == house.target._tracked.request_digest(batch)
    other = target(house.table, Pseudonyms(bytes(32)))
    assert other._tracked.request_digest(batch) != run.data.tags["unlearn.request_digest"]
    served = store.load_ranker(Path(champion.source.removeprefix("file://")) / "artifacts" / "model")
    assert torch.equal(served.users, store.load_ranker(house.target.model).users)


def test_a_version_that_did_not_pass_is_never_in_mlflow(service: Callable[..., Service]) -> None:
    house = service(method="graph_drop")  # which does not pass
    document = house.erase(*people(3))
    assert document["targets"]["recsys"]["version"]["method"] == "retrain"
    uri = f"sqlite:///{house.folder}/mlflow.db"
    (only,) = MlflowClient(uri, registry_uri=uri).search_model_versions("name = 'recommender'")
    assert int(only.version) == 1 and only.tags["unlearn.method"] == "retrain"


def test_publish_that_died_before_mlflow_had_the_version_goes_on(
    service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, batch = service(), Batch("b1", people(3))
    house.target.remove(batch)
    version = house.target.unlearn(batch, retrain=False)

    def dying(*_: Any, **__: Any) -> None:
        raise OSError("no connection")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", dying)
        with pytest.raises(OSError, match="no connection"):
            house.target.publish(batch, version)
    again = target(house.table, house.ledger.keyring.pseudonyms)
    assert again.manifest()["digest"] == version.digest and again._tracked._registry.champion() is None
    assert again.publish(batch, version) == again.publish(batch, version) == {"versions": 1}
    assert again._tracked._registry.champion() == 1
    assert not any(again.purge(batch).values()) and not any(again.purge(batch).values())
    again.publish(batch, version)  # late
    house.target.remove(second := Batch("b2", people(17)))
    again.publish(second, again.unlearn(second, retrain=False))
    with pytest.raises(StaleVersion):
        again.publish(batch, version)
    assert again._tracked._registry.champion() == 2


def test_debt_is_paid_back_on_schedule_and_new_users_are_learned(service: Callable[..., Service]) -> None:
    house = service()
    first, second, single = people(3, 17, 20)
    (row,) = (data := house.target.data().data).users.rows([single.value])
    item = str(data.items.ids[data.indices[data.indptr[row]]])
    drifts = [removed(house.erase(*subjects))["drift"] for subjects in ((first,), (second, interaction(single, item)))]
    assert 0 < drifts[0] < drifts[1]
    debt = house.target.manifest()["training"]["removed"]
    assert debt > 0 and not house.target.data().data.users.alive.all()
    house.clock.advance(days=29)
    assert not house.worker().run_once()
    house.clock.advance(days=1)
    assert house.worker().run_once() and not house.worker().run_once()
    with house.ledger.database.read() as session:
        (batch,) = session.scalars(select(BatchRow.id).order_by(BatchRow.created_at.desc()).limit(1))
    document = house.certificate(batch)
    found = document["targets"]["recsys"]
    assert (document["occasion"], disclosed(document, "request")) == ("schedule", [])
    assert found["version"]["method"] == "retrain"
    ((facts, _),) = (figures["recsys"].values() for figures in disclosed(document, "figures"))
    assert (facts["debt_before"], facts["debt_after"]) == (debt, 0)
    assert found["verification"]["passed"] and not any(found["left"].values())
    # The model is the one that training on what remains gives, on rows without the erased.
    now = workspace.load(house.target.workspace.folder)
    assert now.history.removed == 0 and now.data.users.alive.all()
    exact = store.untrained(house.target.model, house.target.data().data).fit()
    torch.testing.assert_close(now.scores(np.arange(now.data.n_users)), exact.scores(np.arange(now.data.n_users)))
    assert removed(house.erase(*people(25)))["drift"] < drifts[1]


def test_unsafe_options_are_refused_with_their_reasons(tmp_path: Path) -> None:
    folder = stored("whole_data")
    for options, reason in (
        ({"tracking": "https://mlflow.example"}, "through a tracking server nothing can be destroyed"),
        ({"tracking": "databricks"}, "through a tracking server nothing can be destroyed"),
        ({"tracking": "file:///tmp/runs"}, "must be a SQLite file or the URI of a database"),
        ({"tracking": f"{folder}/mlflow.db"}, "replaced as a whole"),
        ({"tracking": f"sqlite:///{folder}.service/mlflow.db"}, "replaced as a whole"),
        ({"tracking": str(tmp_path)}, "append mlflow.db"),
        ({"tracking": "mlflow.db", "old_versions": "keep"}, "would outlive the erasure"),
        ({"tracking": "mlflow.db", "registered_model": "a/b"}, "`registered_model` must be"),
        ({"old_versions": "record"}, "must go with `tracking`"),
    ):
        with pytest.raises(InvalidOptions) as refused:
            target({"workspace": str(folder), **options}, Pseudonyms(bytes(32)))
        assert reason in str(refused.value)
    assert KIND in target({"workspace": str(folder)}, Pseudonyms(bytes(32))).identity_types


def test_a_copy_where_nothing_can_be_destroyed_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored("whole_data"), tmp_path / "model"))
    for number, uri in enumerate(("https://mlflow.example", "databricks", f"sqlite:///{tmp_path}/mlflow.db"), start=1):
        Copies.of(folder).add(uri, f"m-{number}")
    with pytest.raises(InvalidOptions) as refused:
        target({"workspace": str(folder)}, Pseudonyms(bytes(32)))
    assert all(part in str(refused.value) for part in ("m-1 in https://mlflow.example", "m-2", "tracked-copies.jsonl"))
    assert "m-3" not in str(refused.value)


def test_a_copy_that_is_not_reached_keeps_the_erasure_open(service: Callable[..., Service]) -> None:
    house = service()
    (person,) = people(3)
    location, moved = house.folder / "train.db", house.folder / "moved.db"
    shutil.copyfile(house.folder / "mlflow.db", location)
    copied(house, location)
    location.rename(moved)
    request = house.intake.submit(replace(submission(), subjects=(person,))).subject_request_id
    assert house.worker().run_once()
    assert status(house.ledger, None, request).state is not RequestState.COMPLETED
    moved.rename(location)
    house.clock.advance(days=1)
    assert house.worker().run_once()
    assert status(house.ledger, None, request).state is RequestState.COMPLETED
    assert Copies.of(house.target.workspace.folder).listed() == []
    assert holders(house.folder, [person.value]) == set()
