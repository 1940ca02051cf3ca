"""Copies of a model in MLflow are destroyed by the list beside it, and those that cannot be stay on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from sqlite3 import OperationalError

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from tests.oracles.traces import holders
from unlearn.tracking import MlflowTracker
from unlearn.tracking.copies import Copies, Copy
from unlearn.tracking.reach import StoreUnavailable
from unlearn.workspace import Workspace


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    return Copies(tmp_path / "beside" / "copies.jsonl")


Keep = Callable[[int], list[str]]


@pytest.fixture
def keep(tracker: MlflowTracker, stored_model: Callable[..., Path], offered_ranker: str, gone: str) -> Keep:
    """Keeps so many models in MLflow that hold somebody who is to go, and returns their ids."""

    def kept(number: int) -> list[str]:
        directory = stored_model(offered_ranker, users=(gone, "bob"))
        with tracker.run("train") as run:
            run.metrics({"recall": 0.5})
            ids = [run.model(directory, name="lightgcn") for _ in range(number)]
        for file in directory.iterdir():
            file.unlink()
        return ids

    return kept


@pytest.fixture
def gone() -> str:
    return secrets.token_hex(16)


def test_listed_copies_leave_no_byte_and_no_list(
    copies: Copies, tracker: MlflowTracker, location: Path, keep: Keep, gone: str, tmp_path: Path
) -> None:
    stays, *listed = keep(3)
    for model_id in listed:
        copies.add(tracker.uri, model_id)
    assert copies.listed() == [Copy(tracker.uri, model_id) for model_id in listed]
    assert len(holders(tmp_path, [gone])) == 3

    assert copies.destroy() == []

    (left,) = holders(tmp_path, [gone])
    assert stays in left
    assert (copies.listed(), list(copies.file.parent.iterdir())) == ([], [])
    assert listed[0].encode() not in location.read_bytes()
    (run,) = tracker._client.search_runs([tracker.experiment_id])
    assert run.data.metrics == {"recall": 0.5}
    assert copies.destroy() == []  # nothing to do


def test_what_cannot_be_destroyed_stays_listed_and_the_rest_goes(
    copies: Copies, tracker: MlflowTracker, location: Path, keep: Keep, gone: str, tmp_path: Path
) -> None:
    moved, silent = f"sqlite:///{tmp_path}/moved.db", "http://127.0.0.1:9"  # where nobody listens
    (model_id,) = keep(1)
    for store, one in ((moved, "m-1"), (tracker.uri, model_id), (silent, "m-2"), (moved, "m-3")):
        copies.add(store, one)
    left = copies.destroy()
    assert [one.copy for one in left] == copies.listed()
    assert copies.listed() == [Copy(moved, "m-1"), Copy(moved, "m-3"), Copy(silent, "m-2")]
    assert "no such file" in str(left[0]) and "m-1" in str(left[0])
    assert silent in str(left[2])
    assert not (tmp_path / "moved.db").exists()  # an empty one would seem to hold no copies
    assert model_id.encode() not in location.read_bytes() and not holders(tmp_path, [gone])


@pytest.mark.parametrize("error", [MlflowException, PermissionError, OperationalError, SQLAlchemyError])
def test_a_store_that_fails_halfway_is_asked_again(
    error: type[Exception], copies: Copies, tracker: MlflowTracker, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model_id,) = keep(1)
    copies.add(tracker.uri, model_id)

    def fails(*_: object, **__: object) -> None:
        raise error("the disk is full")

    with monkeypatch.context() as failing:
        failing.setattr("unlearn.tracking.copies.purge", fails)
        (left,) = copies.destroy()
    assert "the disk is full" in left.why and copies.listed() == [left.copy]
    assert copies.destroy() == [] and copies.listed() == []


@pytest.mark.parametrize(
    ("store", "listed"),
    [
        (
            "postgresql+psycopg://me:s3cr3t@db.example:5432/mlflow?sslmode=require",
            "postgresql+psycopg://me@db.example:5432/mlflow?sslmode=require",
        ),
        ("postgresql://me:s3cr3t/s3cr3t:s3 cr3t@db.example/mlflow", "postgresql://me@db.example/mlflow"),
        ("mysql+pymysql://db.example/mlflow?passwd=s3cr3t", "mysql+pymysql://db.example/mlflow"),
        ("postgresql://db/mlflow?password=s3cr3t&user=me", "postgresql://db/mlflow?user=me"),
        ("https://me:s3cr3t@tracking.example/path:1", "https://me@tracking.example/path:1"),
        ("https://tracking.example:5000/path@1", "https://tracking.example:5000/path@1"),
        ("sqlite:////home/a:b@c/mlflow.db", "sqlite:////home/a:b@c/mlflow.db"),
    ],
)
def test_a_password_is_neither_listed_nor_told(copies: Copies, store: str, listed: str) -> None:
    copies.add(store, "m-1")
    assert [one.store for one in copies.listed()] == [listed]
    assert copies.file.stat().st_mode & 0o077 == 0
    told = str(StoreUnavailable(store, f"nobody answers at {store}"))
    assert "cr3t" not in copies.file.read_text() + told
    if not store.startswith("http"):  # nor by what SQLAlchemy takes for it
        assert make_url(listed).password is None


def test_another_state_of_the_workspace_has_the_same_list(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "model", marker="marker", made_by="a test", option="model")

    def write(state: str) -> None:
        workspace.replace(lambda new: (new / "marker").write_text(state))

    write("first")
    assert Copies.of(workspace.folder).listed() == []
    Copies.of(workspace.folder).add("http://127.0.0.1:9", "m-1")
    write("second")
    assert Copies.of(workspace.folder).listed() == [Copy("http://127.0.0.1:9", "m-1")]
    assert {file.name for file in workspace.folder.iterdir()} == {"marker", "tracked-copies.jsonl"}
    assert Copies.of(workspace.folder).file.stat().st_mode & 0o077 == 0


def test_artifacts_that_were_moved_are_not_taken_for_destroyed(
    copies: Copies, tracker: MlflowTracker, keep: Keep, gone: str, tmp_path: Path
) -> None:
    (model_id,) = keep(1)
    copies.add(tracker.uri, model_id)
    there, elsewhere = tmp_path / "mlflow-artifacts", tmp_path / "elsewhere"
    there.rename(elsewhere)
    (left,) = copies.destroy()
    assert f"there is no {there / 'models'}, which may have been moved" in left.why
    assert copies.listed() == [left.copy] and holders(elsewhere, [gone])
    elsewhere.rename(there)
    assert copies.destroy() == [] and not holders(tmp_path, [gone])


def test_copies_go_whose_experiment_was_deleted_and_no_other_is_made(
    copies: Copies, tracker: MlflowTracker, keep: Keep, gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies.add(tracker.uri, keep(1)[0])
    tracker._client.delete_experiment(tracker.experiment_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    assert copies.destroy() == [] == copies.listed() and not holders(tmp_path, [gone])
    assert tracker._client.get_experiment_by_name("another") is None
