"""The champion moves when all is there, and a purge leaves of the others nothing: in SQLite and in the folders."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import TraceInfo, TraceLocation, TraceState

from tests.oracles.traces import holders
from tests.unlearn.tracking.tables import rows, tables_with
from unlearn.tracking import MlflowTracker
from unlearn.tracking.purge import PurgeRefused
from unlearn.tracking.registry import CHAMPION, Left, ModelRegistry, OldVersions

CLEAN = Left(versions=0, runs=0, models=0, folders=0)


@pytest.fixture
def model(stored_model: Callable[..., Path], offered_ranker: str, tmp_path: Path) -> Callable[[str], Path]:
    """A stored model that knows one user of that name and another one, in a folder that is gone after the test."""

    def write(user: str) -> Path:
        shutil.rmtree(tmp_path / "stored", ignore_errors=True)
        return stored_model(offered_ranker, users=(user, "bob"))

    return write


def publish(registry: ModelRegistry, directory: Path, digest: str) -> int:
    return registry.publish(
        directory, digest=digest, name="batch", tags={"unlearn.batch": digest}, figures={"seconds": 1.0, "none": None}
    )


def client(tmp_path: Path) -> MlflowClient:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    return MlflowClient(uri, registry_uri=uri)


def canary() -> str:
    return secrets.token_hex(16)


@pytest.mark.parametrize("old_versions", ["destroy", "record"])
def test_what_was_replaced_is_destroyed_and_what_serves_stays(
    location: Path,
    tmp_path: Path,
    model: Callable[[str], Path],
    old_versions: OldVersions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where loading a model by its name makes MLflow's default store
    gone, stays = canary(), canary()
    registry = ModelRegistry(location, model="served", old_versions=old_versions)
    assert registry.champion() is None
    assert publish(registry, model(gone), "a1") == publish(registry, tmp_path / "stored", "a1") == 1
    experiment = client(tmp_path).get_experiment_by_name("served")
    assert experiment is not None
    (run,) = client(tmp_path).search_runs([experiment.experiment_id])
    table = pd.DataFrame({"user": pd.Series([gone], dtype=object)})
    client(tmp_path).log_table(run.info.run_id, table, "shown.json")  # as an evaluation might
    assert publish(registry, model(stays), "b2") == 2 == registry.champion()
    shutil.rmtree(tmp_path / "stored")
    assert holders(tmp_path, [gone]) and holders(tmp_path, [stays])
    assert registry.purge("b2") == CLEAN == registry.purge("b2")
    assert holders(tmp_path, [gone]) == set() and holders(tmp_path, [stays])
    (version,) = client(tmp_path).search_model_versions("name = 'served'")
    assert int(version.version) == 2 == registry.champion() and version.tags["unlearn.digest"] == "b2"
    runs = client(tmp_path).search_runs([run.info.experiment_id])
    kept = {one.data.tags["unlearn.batch"]: one.data.metrics for one in runs}
    expected = {"b2": {"seconds": 1.0}}
    assert kept == (expected if old_versions == "destroy" else expected | {"a1": {"seconds": 1.0}})
    mlflow.set_registry_uri(f"sqlite:///{tmp_path}/mlflow.db")
    try:
        answered = mlflow.pyfunc.load_model(f"models:/served@{CHAMPION}").predict([{"user_id": stays}])
    finally:
        mlflow.set_registry_uri("")
    assert len(answered) == 3


def test_deleted_runs_foreign_versions_and_what_a_crash_left_are_destroyed_too(
    location: Path, tmp_path: Path, model: Callable[[str], Path]
) -> None:
    gone, other = canary(), canary()
    registry = ModelRegistry(location, model="served")
    tracker = registry._tracker
    with tracker.run(f"a run of {gone}") as run:  # somebody else's, in the registry's experiment
        run.artifact("shown.json", {"user": gone})
        run.model(model(gone), name="half")
    client(tmp_path).delete_run(run.id)  # which MLflow keeps
    elsewhere = MlflowTracker(location, experiment="study")
    with elsewhere.run("study") as study:
        found = study.model(tmp_path / "stored", name="study")
        study.params({"note": other})
    client(tmp_path).create_registered_model("served")
    location = client(tmp_path).get_logged_model(found).artifact_location
    client(tmp_path).create_model_version("served", location, run_id=study.id, model_id=found, tags={"by": gone})
    orphan = tmp_path / "mlflow-artifacts" / "models" / "m-0"
    orphan.mkdir()
    (orphan / "table.json").write_text(gone, "utf-8")
    assert publish(registry, model("ann"), "b2") == 2
    client(tmp_path).set_registered_model_alias("served", CHAMPION, "1")  # by hand, back to what must not serve
    shutil.rmtree(tmp_path / "stored")
    assert len(holders(tmp_path, [gone])) > 4
    assert registry.purge("b2") == CLEAN
    assert holders(tmp_path, [gone]) == set() and registry.champion() == 2
    assert client(tmp_path).get_run(study.id).data.params == {"note": other}  # an experiment of its own


def test_what_others_registered_by_name_is_destroyed_and_what_serves_stays_however_often_it_is_registered(
    location: Path, tmp_path: Path, model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MLflow's own pages and `register_model` do it: the source of such a version is no place."""
    gone, stays = canary(), canary()
    registry = ModelRegistry(location, model="served")
    publish(registry, model(gone), "a1")
    publish(registry, model(stays), "b2")
    shutil.rmtree(tmp_path / "stored")
    first, second = sorted(client(tmp_path).search_model_versions("name = 'served'"), key=lambda one: one.version)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        client(tmp_path).create_model_version("served", f"models:/{first.tags['unlearn.model']}")
        client(tmp_path).copy_model_version("models:/served/2", "served")
    assert second.source is not None
    client(tmp_path).create_model_version("served", second.source)
    assert registry.purge("b2") == CLEAN
    assert holders(tmp_path, [gone]) == set() and any("artifacts/model" in one for one in holders(tmp_path, [stays]))
    (version,) = client(tmp_path).search_model_versions("name = 'served'")
    assert registry.champion() == int(version.version)


def test_the_number_of_a_version_that_is_gone_is_all_that_is_left(
    location: Path, tmp_path: Path, model: Callable[[str], Path]
) -> None:
    note, registry = canary(), ModelRegistry(location, model="served")
    publish(registry, model("ann"), "a1")
    publish(registry, tmp_path / "stored", note)
    client(tmp_path).delete_model_version("served", "2")  # by hand: MLflow keeps its tags
    publish(registry, tmp_path / "stored", "c3")
    shutil.rmtree(tmp_path / "stored")
    experiment = registry._tracker.experiment_id
    store: Any = client(tmp_path)._tracking_client.store
    place = TraceLocation.from_experiment_id(experiment)
    store.start_trace(TraceInfo("tr-1", place, 1, TraceState.OK, request_preview=note))
    runs = client(tmp_path).search_runs([experiment])
    models = client(tmp_path).search_logged_models([experiment])
    gone = [one.info.run_id for one in runs[1:]] + [one.model_id for one in models[1:]]
    assert len(gone) == 4 and {"inputs", "model_version_tags", "trace_info"} <= tables_with(location, [*gone, note])
    assert registry.purge("c3") == CLEAN
    assert tables_with(location, [*gone, note]) == holders(tmp_path, [note]) == set()
    versions = [row for table, row in rows(location) if table == "model_versions"]
    assert len(versions) == 3 and sum("Deleted_Internal" in row for row in versions) == 2
    assert "trace_info" not in {table for table, _ in rows(location)}


def test_whatever_lies_among_the_artifacts_goes(location: Path, tmp_path: Path, model: Callable[[str], Path]) -> None:
    registry = ModelRegistry(location, model="served")
    publish(registry, model("ann"), "a1")
    artifacts, elsewhere = tmp_path / "mlflow-artifacts", tmp_path / "stored"
    before = sorted(artifacts.rglob("*"))
    (artifacts / "notes.txt").write_text("a note", "utf-8")
    (artifacts / "models" / ".DS_Store").write_text("", "utf-8")
    (artifacts / "link").symlink_to(elsewhere)
    (artifacts / "folder").mkdir()
    assert registry.purge("a1") == CLEAN
    assert sorted(artifacts.rglob("*")) == before and list(elsewhere.iterdir())


def test_artifacts_of_other_experiments_stay_though_they_lie_in_the_same_folder(
    location: Path, tmp_path: Path, model: Callable[[str], Path]
) -> None:
    registry = ModelRegistry(location, model="served")
    publish(registry, model("ann"), "a1")
    study = MlflowTracker(location, experiment="study")
    with study.run("kept") as kept:
        kept.artifact("shown.json", {"figure": 1})
        kept.model(tmp_path / "stored", name="study")
    with study.run("marked") as marked:
        marked.artifact("shown.json", {"figure": 2})
        deleted = marked.model(tmp_path / "stored", name="study")
    client(tmp_path).delete_run(marked.id)
    client(tmp_path).delete_logged_model(deleted)
    client(tmp_path).delete_experiment(study.experiment_id)
    before = sorted((tmp_path / "mlflow-artifacts").rglob("*"))
    assert registry.purge("a1") == CLEAN
    assert sorted((tmp_path / "mlflow-artifacts").rglob("*")) == before


def test_traces_of_other_experiments_stay_too(location: Path, tmp_path: Path, model: Callable[[str], Path]) -> None:
    registry, study = ModelRegistry(location, model="served"), MlflowTracker(location, experiment="study")
    publish(registry, model("ann"), "a1")
    folders: list[Path] = []
    for number, experiment in enumerate((registry._tracker.experiment_id, study.experiment_id)):
        place = TraceLocation.from_experiment_id(experiment)
        made = TraceInfo(f"tr-{number:032x}", place, 1, TraceState.OK)
        kept = study._client._tracking_client.store.start_trace(made)
        folders.append(Path(kept.tags["mlflow.artifactLocation"].removeprefix("file://")))
        folders[-1].mkdir(parents=True)
        (folders[-1] / "traces.json").write_text("whom it was about", "utf-8")
    assert registry.purge("a1") == CLEAN
    assert [folder.is_dir() for folder in folders] == [False, True]


def test_nothing_is_destroyed_that_mlflow_has_not_made(
    location: Path, tmp_path: Path, model: Callable[[str], Path]
) -> None:
    """Whoever can register a version, or made the experiment, can name any folder; the service may write to more."""
    home = tmp_path / "home"
    (home / "precious").mkdir(parents=True)
    (home / "precious" / "work.txt").write_text("of years", "utf-8")
    client(tmp_path).create_experiment("served", artifact_location=home.as_uri())
    registry = ModelRegistry(location, model="served")
    publish(registry, model("ann"), "a1")
    publish(registry, tmp_path / "stored", "b2")
    (orphan := home / "models" / f"m-{canary()}").mkdir()
    assert registry.purge("b2") == CLEAN
    assert (home / "precious" / "work.txt").is_file() and not orphan.exists()
    for source in (
        str(home / "precious"),
        (home / "precious").as_uri(),
        f"{home}/models/m-{canary()}/artifacts/../../..",
    ):
        version = client(tmp_path).create_model_version("served", source)
        with pytest.raises(PurgeRefused, match="delete that version"):
            registry.purge("b2")
        client(tmp_path).delete_model_version("served", version.version)
    assert registry.purge("b2") == CLEAN and (home / "precious" / "work.txt").is_file()


class Dies(BaseException):
    """Stands for a kill at that call."""


CALLS = ["create_run", "log_batch", "create_logged_model", "log_model_artifacts",
         "finalize_logged_model", "set_terminated", "create_model_version", "set_registered_model_alias"]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("done", [False, True])
def test_the_champion_is_the_old_or_the_new_wherever_it_dies(
    location: Path, tmp_path: Path, model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, call: str, done: bool
) -> None:
    gone = canary()
    registry = ModelRegistry(location, model="served")
    publish(registry, model(gone), "a1")
    real: Any = getattr(MlflowClient, call)

    def dying(self: MlflowClient, *arguments: Any, **named: Any) -> Any:
        if done:
            real(self, *arguments, **named)
        raise Dies

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, dying)
        with pytest.raises(Dies):
            publish(registry, model("ann"), "b2")
    again = ModelRegistry(location, model="served")
    now = again.champion()
    assert now == (2 if done and call == "set_registered_model_alias" else 1)
    assert publish(again, tmp_path / "stored", "b2") == 2 == again.champion()
    shutil.rmtree(tmp_path / "stored")
    assert again.purge("b2") == CLEAN and holders(tmp_path, [gone]) == set()


PURGING = ["delete_model_version_tag", "delete_model_version", "search_logged_models", "get_run"]


@pytest.mark.parametrize("call", PURGING)
def test_a_purge_that_died_is_finished_by_the_next(
    location: Path, tmp_path: Path, model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    gone = canary()
    registry = ModelRegistry(location, model="served")
    publish(registry, model(gone), "a1")
    publish(registry, model("ann"), "b2")
    shutil.rmtree(tmp_path / "stored")

    def dying(*_: Any, **__: Any) -> Any:
        raise Dies

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, dying)
        with pytest.raises(Dies):
            registry.purge("b2")
    assert registry.champion() == 2
    assert registry.purge("b2") == CLEAN and holders(tmp_path, [gone]) == set()
