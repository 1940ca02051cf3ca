"""Physical deletion from an MLflow store: what MLflow itself only marks as deleted, and its garbage collector."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from unlearn.tracking.base import Purged
from unlearn.tracking.reach import once, sqlite_file
from unlearn.tracking.rows import delete_version, forget_run, models_made, sweep, traces_made

if TYPE_CHECKING:
    from mlflow import MlflowClient


_PATIENCE = 60.0  # seconds
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_MADE = re.compile(r".+/(models/m-)?[0-9a-f]{32}/artifacts(/.+)?")


class PurgeRefused(RuntimeError):
    """The store cannot be made to destroy anything from here."""


def purge(client: MlflowClient, uri: str, *, runs: Iterable[str], models: Iterable[str]) -> Purged:
    """Destroy runs, the models they made, and further models; with them their traces and registered versions.

    Artifacts go first and the rows of runs and models last, so that a crash leaves rows that name what is still to do;
    a second call finishes. No row of the store names them afterwards. Models without a row may have artifacts still,
    where the file of a store was removed and made anew: on this machine those go, too. A SQLite file is rewritten,
    because deleted rows stay readable in its free pages.

    Raises:
        PurgeRefused: the store is reached over HTTP, or artifacts lie where nothing can be destroyed from here, or were
            moved; nothing was touched.
        sqlite3.OperationalError: see `rewrite`.
    """
    store: Any = client._tracking_client.store  # pyright: ignore[reportPrivateUsage]
    if not hasattr(store, "_hard_delete_run"):
        raise PurgeRefused(
            f"`purge` must reach the database itself (got {uri!r}): run it on the server's machine with the URI of its "
            "backend store, or run `mlflow gc` there"
        )
    runs, models = list(runs), list(models)
    doomed_runs = _existing(runs, client.get_run)
    made = [output.model_id for run in doomed_runs if run.outputs for output in run.outputs.model_outputs]
    made += [model_id for run in doomed_runs for model_id in models_made(store, run.info.run_id)]
    doomed_models = _existing([*models, *made], lambda model_id: store.get_logged_model(model_id, allow_deleted=True))
    _require_there(model.artifact_location for model in doomed_models if model.status.value == "READY")
    _require_reach(
        [model.artifact_location for model in doomed_models] + [run.info.artifact_uri for run in doomed_runs]
    )

    _delete_versions(client, {run.info.run_id for run in doomed_runs}, doomed_models)
    for place in _strays(client, {*models}.difference(model.model_id for model in doomed_models)):
        delete_artifacts(place)
    for model in doomed_models:
        _delete_traces(client, store, model.model_id)
        delete_artifacts(model.artifact_location)
        store._hard_delete_logged_model(model.model_id)
    for run in doomed_runs:
        _delete_traces(client, store, run.info.run_id)
        delete_artifacts(run.info.artifact_uri)
        forget_run(store, run.info.run_id)
        store._hard_delete_run(run.info.run_id)
    sweep(store)
    if (file := sqlite_file(uri)) is not None and (runs or models):  # also if gone: the last call may have died here
        rewrite(file)
    return Purged(runs=len(doomed_runs), models=len(doomed_models))


def rewrite(file: Path) -> None:
    """Have a SQLite file, and the log beside it where there is one, hold no more than its rows.

    Raises:
        sqlite3.OperationalError: others read it for all of a minute; a second call finishes.
    """
    with contextlib.closing(sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:  # which SQLite says, and raises nothing
        raise sqlite3.OperationalError(f"database is locked: deleted rows are still in the log of {file}")


def delete_artifacts(where: str) -> None:
    """Destroy what lies there, if anything does."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(where)
    if repository.list_artifacts():  # a folder that was never made, or is gone already, cannot be deleted
        repository.delete_artifacts()


def require_made(places: Iterable[str]) -> None:
    """Refuse places that are in no folder which MLflow makes for a run or a model: any folder can be registered.

    Raises:
        PurgeRefused: with the place.
    """
    from mlflow.utils.file_utils import local_file_uri_to_path

    for place in places:
        local = urlparse(place).scheme in ("", "file")
        path = str(Path(local_file_uri_to_path(place)).resolve()) if local else place
        if ".." in path.split("/") or not _MADE.fullmatch(path):
            raise PurgeRefused(
                f"`purge` must destroy nothing but what MLflow has made (got a registered version in {place}): "
                "delete that version, and by hand what it lies in"
            )


def pages(page: Callable[[str | None], Any]) -> list[Any]:
    """Everything of a search that MLflow answers page by page."""
    found, token = list[Any](), None
    while True:
        some = page(token)
        found.extend(some)
        if not (token := some.token):
            return found


def _require_reach(places: Iterable[str]) -> None:
    """Refuse artifacts that a server holds and that is not named: where a store is, does not say who its server is.

    Raises:
        PurgeRefused: with the place.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    for place in places:
        try:
            with once():
                get_artifact_repository(place).list_artifacts()
        except MlflowException as error:
            raise PurgeRefused(
                f"`purge` must reach the artifacts (got {place}, which does not answer); if a tracking server holds "
                "them, let it run and name it in MLFLOW_TRACKING_URI"
            ) from error


def _require_there(places: Iterable[str]) -> None:
    """Refuse artifacts of models that were there, where the folder of all models on this machine is gone.

    That folder stays whatever of it is purged, so that it was no purge.

    Raises:
        PurgeRefused: with the folder.
    """
    for place in map(urlparse, places):
        folder = Path(unquote(place.path)).parents[1]
        if place.scheme in ("", "file") and not folder.is_dir():
            raise PurgeRefused(
                f"`purge` must find the artifacts (there is no {folder}, which may have been moved); bring it back, or "
                "make an empty one if they are destroyed"
            )


def _delete_versions(client: MlflowClient, runs: set[str], models: list[Any]) -> None:
    """Delete registered versions that come from these runs or are of these models, copies of versions among them."""
    sources = {source for one in models for source in (f"models:/{one.model_id}", one.artifact_location)}
    if runs or sources:
        for version in pages(lambda token: client.search_model_versions(page_token=token)):
            # A copy names the version that it was made from as its source, but lies where the model does.
            lies = client.get_model_version_download_uri(version.name, version.version)
            if version.run_id in runs or sources & {version.source, lies}:
                delete_version(client, version)


def _strays(client: MlflowClient, gone: set[str]) -> list[str]:
    """Where MLflow would keep models of these ids, which it has no rows of, on this machine."""
    from mlflow.entities import ViewType

    ids = [one for one in gone if _MODEL_ID.fullmatch(one)]
    if not ids:
        return []
    experiments = pages(lambda token: client.search_experiments(ViewType.ALL, page_token=token))
    roots = {one.artifact_location for one in experiments}
    return [f"{root}/models/{one}" for root in roots if urlparse(root).scheme in ("", "file") for one in ids]


def _delete_traces(client: MlflowClient, store: Any, made_by: str) -> None:
    for trace_id, experiment_id, artifacts in traces_made(store, made_by):
        if artifacts is not None:
            delete_artifacts(artifacts)
        client.delete_traces(experiment_id, trace_ids=[trace_id])


def _existing(ids: Iterable[str], get: Callable[[str], Any]) -> list[Any]:
    from mlflow.exceptions import MlflowException

    found: list[Any] = []
    for each in dict.fromkeys(ids):
        try:
            found.append(get(each))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    return found
