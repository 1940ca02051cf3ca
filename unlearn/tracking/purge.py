"""Physical deletion from an MLflow store: what MLflow itself only marks as deleted, and its garbage collector."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from unlearn.tracking.base import Purged

if TYPE_CHECKING:
    from mlflow import MlflowClient


class PurgeRefused(RuntimeError):
    """The store cannot be made to destroy anything from here."""


def purge(client: MlflowClient, uri: str, *, runs: Iterable[str], models: Iterable[str]) -> Purged:
    """Destroy runs, the models they made, and further models.

    Artifacts go first, so that a crash leaves rows that name what is still to do; a second call finishes. Registered
    versions of a model lose their source. A SQLite file is rewritten, because deleted rows stay readable in its free
    pages.

    Raises:
        PurgeRefused: the store is reached over HTTP.
    """
    store: Any = client._tracking_client.store  # pyright: ignore[reportPrivateUsage]
    if not hasattr(store, "_hard_delete_run"):
        raise PurgeRefused(
            f"`purge` must reach the database itself (got {uri!r}): run it on the server's machine with the URI of its "
            "backend store, or run `mlflow gc` there"
        )
    doomed_runs = _existing(runs, client.get_run)
    made = [output.model_id for run in doomed_runs if run.outputs for output in run.outputs.model_outputs]
    doomed_models = _existing([*models, *made], lambda model_id: store.get_logged_model(model_id, allow_deleted=True))

    for model in doomed_models:
        for registered in client.search_model_versions(f"source_path = 'models:/{model.model_id}'"):
            client.delete_model_version(registered.name, registered.version)
        delete_artifacts(model.artifact_location)
        store._hard_delete_logged_model(model.model_id)
    for run in doomed_runs:
        delete_artifacts(run.info.artifact_uri)
        store._hard_delete_run(run.info.run_id)
    if uri.startswith("sqlite:///") and (doomed_runs or doomed_models):
        rewrite(uri.removeprefix("sqlite:///"))
    return Purged(runs=len(doomed_runs), models=len(doomed_models))


def rewrite(path: str) -> None:
    """Have a SQLite file hold no more than its rows."""
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def delete_artifacts(where: str) -> None:
    """Destroy what lies there, if anything does."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(where)
    if repository.list_artifacts():  # a folder that was never made, or is gone already, cannot be deleted
        repository.delete_artifacts()


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
